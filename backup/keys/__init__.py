"""OpenPGP keys by role. GnuPG is spoken to here only."""
