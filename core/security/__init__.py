"""Keys, and who may say what."""
