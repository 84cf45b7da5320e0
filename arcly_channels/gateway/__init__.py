"""Consumers built on the registry, and the functions that reach their clients from elsewhere."""
