"""What is asked by SSH; the only place that knows paramiko, which is imported when a device is first asked."""
