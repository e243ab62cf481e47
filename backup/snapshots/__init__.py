"""Sets of paths as of one instant: from snapshots of what holds them."""
