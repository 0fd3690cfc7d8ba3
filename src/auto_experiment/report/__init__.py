"""The ledger as a document that can be sent to a colleague. Every number in it comes from the ledger."""
