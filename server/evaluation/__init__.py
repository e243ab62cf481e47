"""Triggers bound to stored items, evaluated over what a transaction stores."""
