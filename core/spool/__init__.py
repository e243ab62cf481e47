"""The durable outbox: what was appended is on disk until it is stored elsewhere."""
