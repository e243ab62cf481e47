"""A restore station at work: a set opened to be read, at whichever of its copies answers."""
