"""The proxy as a source of its own: asks devices that have no agent."""
