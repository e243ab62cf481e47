"""The live feed: what was committed just now, told to who listens."""
