"""What can be measured: one file a probe, each declaring its items."""
