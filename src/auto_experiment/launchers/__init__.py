"""How a long process is started, found again, asked about and stopped."""
