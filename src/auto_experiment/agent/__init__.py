"""Changes the project's code and asks for launches; starts no training itself."""
