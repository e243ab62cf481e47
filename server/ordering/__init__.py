"""Runs of backups that people order: claimed under the epoch, carried in documents, answered by the hosts' items."""
