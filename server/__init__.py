"""The active/standby server: lease, intake, ingest, problems, escalations, API."""
