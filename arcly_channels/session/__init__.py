"""The life of one connection: who is behind it, and what holds it."""
