"""Archived WAL and binary logs of a copy, verified with its restore points."""
