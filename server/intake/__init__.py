"""What arrives at the server: whose it is, whether it is new, whether it is believable."""
