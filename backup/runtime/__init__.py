"""What bkp needs of the system: programs it starts, signals, locks, durable files, private folders, mounts."""
