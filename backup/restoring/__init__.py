"""What a restore station does: restores, forecasts, verifies."""
