"""The command line; the only place that composes the daemons."""
