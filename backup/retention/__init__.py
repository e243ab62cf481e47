"""What is kept, and what the pruner deletes."""
