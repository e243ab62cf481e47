"""What is watched and who is told: definitions read, checked, compared, made ready for use."""
