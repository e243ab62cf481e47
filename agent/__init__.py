"""The daemon on a host: samples probes and publishes what they say."""
