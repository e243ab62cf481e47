"""What restore points hold: read from duplicity's signatures at the target, without fetching any data."""
