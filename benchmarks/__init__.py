"""Measured comparisons, each beside a peer or a limit in one run."""
