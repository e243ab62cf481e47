"""The agent keeps its host's schedule of backups: what is due or ordered, the runs, and what is told of them."""
