"""Which proxy of a group serves which source: spread by load, moved when a proxy fails, without flapping."""
