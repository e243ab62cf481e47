"""Ways to tell people: each medium is one file and one line in `registry`."""
