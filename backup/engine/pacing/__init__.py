"""What duplicity loads beside itself when a target has an upload limit; nothing of ours imports it."""
