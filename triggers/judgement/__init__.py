"""What the outcome of an expression means: problems that open, stay and are resolved."""
