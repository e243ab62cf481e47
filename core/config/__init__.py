"""Configuration files, checked once on entry."""
