"""Who is to be told of a problem, and when; pure."""
