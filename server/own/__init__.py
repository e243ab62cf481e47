"""What the active server says itself, as a source like any other."""
