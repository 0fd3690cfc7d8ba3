"""Ledger -> what people and programs look at: status, the list, one experiment. Shared by CLI and report."""
