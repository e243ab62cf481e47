"""Places backups are kept at: one file a kind, one contract, one suite that all of them pass."""
