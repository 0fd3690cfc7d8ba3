"""Language models: open a talk, say something, get a reply."""
