"""What every daemon needs to run: clock, supervision, backoff, logging."""
