"""The store: the only place that speaks SQL, on psycopg 3, for embedded PostgreSQL, PostgreSQL ≥ 15 and TimescaleDB."""
