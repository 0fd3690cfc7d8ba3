"""Watching a running training without any model: log text, GPU samples, faults, stop rules."""
