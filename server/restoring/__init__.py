"""Looking into backups and restoring from them over the API, by the restore station's `bkp` as a program of its own."""
