"""Arguments -> one call -> exit status. A file per group of commands; none is imported before it is used."""
