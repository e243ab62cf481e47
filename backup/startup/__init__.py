"""What the Python of duplicity loads at its start, with this folder in PYTHONPATH; nothing of ours imports it."""
