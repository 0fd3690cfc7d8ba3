"""Who decides what to try next."""
