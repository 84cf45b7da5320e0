"""A chat: one page, one gateway, no models."""
