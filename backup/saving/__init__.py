"""A run of a set, from looking at the target to the signed manifest."""
