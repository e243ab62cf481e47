"""Definitions delivered with Watchkeep, as files people may read and copy."""
