"""Who is told of an event, and seeing to it that they are."""
