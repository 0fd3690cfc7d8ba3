"""A line fitted to points that are read from many files."""
