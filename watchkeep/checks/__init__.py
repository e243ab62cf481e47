"""What `watchkeep doctor` looks at: one function a check, each with its verdict and the remedy."""
