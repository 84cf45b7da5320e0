"""Each module is a command, by its name."""
