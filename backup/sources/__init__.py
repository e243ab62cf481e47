"""What can be saved: one file a kind. Each makes its data ready and always cleans up after itself."""
