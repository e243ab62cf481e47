"""PostgreSQL as a source: dumps of databases, and whole clusters."""
