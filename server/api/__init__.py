"""The REST API: one declaration an endpoint checks requests, refuses strangers and describes itself."""
