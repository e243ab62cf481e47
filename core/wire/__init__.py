"""Everything that travels: records, messages, links."""
