"""The ledger: SQLite, the record of all that happened and the source of truth for facts."""
