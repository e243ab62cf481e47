"""The write-ahead log of a PostgreSQL cluster, archived so that any moment after a base backup comes back."""
