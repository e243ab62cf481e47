"""The pages, and what serves their files."""
