"""Restored dumps loaded into a database, one file a kind, and held against what was counted when they were saved."""
