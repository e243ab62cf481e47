"""MariaDB and MySQL as sources: dumps of databases, and whole MariaDB servers. What one alone has bears its name."""
