"""What counts as a problem and who is told when; pure decisions over columns."""
