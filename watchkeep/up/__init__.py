"""`watchkeep up`: one installation on this machine, every part a process of its own, all on loopback."""
