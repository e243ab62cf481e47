"""What the server tells its sources to do: documents for agents, keys and documents for proxies."""
