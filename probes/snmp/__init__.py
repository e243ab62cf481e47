"""What is asked by SNMP; the only place that knows pysnmp, which is imported when a device is first asked."""
