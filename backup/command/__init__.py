"""The `bkp` command: one file a command."""
