"""Takes in sources, keeps their records in custody, forwards them to the active server."""
