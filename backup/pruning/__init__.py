"""The pruner: takes stock of a target, and deletes what retention lets go."""
