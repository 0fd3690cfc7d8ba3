"""Where commands and files live."""
