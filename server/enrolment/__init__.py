"""Lets machines in that nobody knows yet, and gives those that are in new keys."""
