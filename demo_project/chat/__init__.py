"""A chat: one page, one gateway, no models; its accounts are made by a migration."""
