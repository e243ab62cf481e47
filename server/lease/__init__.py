"""Which server is active: standing by, taking the lease, beating, handing over."""
