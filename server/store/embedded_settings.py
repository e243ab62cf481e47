"""The embedded PostgreSQL's settings."""

from typing import Final

# For a small machine; whoever wants other values writes them to cluster/local.conf, which is read after these.
SETTINGS: Final = {
    "shared_buffers": "128MB",
    "max_connections": "50",
    "max_wal_size": "1GB",
    "min_wal_size": "160MB",
    "wal_buffers": "16MB",
    "wal_level": "replica",
    "max_wal_senders": "4",
    "checkpoint_timeout": "15min",
    "synchronous_commit": "on",
    "jit": "off",
    "max_worker_processes": "4",
    "max_parallel_workers_per_gather": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "on",
    "log_filename": "postgres-%a.log",
    "log_truncate_on_rotation": "on",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_line_prefix": "%m [%p] %a ",
    "authentication_timeout": "10s",
    "tcp_keepalives_idle": "2",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "5000",
}
