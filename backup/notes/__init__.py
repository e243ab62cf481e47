"""What is said at a target beside the backups, for all who read it: marks, holds, damage."""
