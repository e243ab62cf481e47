"""The words the parts share: identities, items, records, ranges."""
