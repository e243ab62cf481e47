"""What backup.toml says."""
