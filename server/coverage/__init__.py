"""Whether every host is backed up, or waived with an end and a reason."""
