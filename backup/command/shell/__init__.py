"""What `bkp` does for shells and for `man`: completion, and the manual page."""
