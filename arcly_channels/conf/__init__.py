"""The settings: their shape, what is wrong with them, and the values in force."""
