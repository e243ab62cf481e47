"""duplicity as a program we run: its command line, its process, what it tells, and what it is asked for."""
