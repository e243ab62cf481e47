"""Brings history out of the store and into it, as CSV, JSON lines or Parquet."""
