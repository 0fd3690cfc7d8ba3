"""Frozen records, one file per stage of a cycle. Standard library only; no record does I/O."""
