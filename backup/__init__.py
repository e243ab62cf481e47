"""Plan, make, verify and restore encrypted backups."""
