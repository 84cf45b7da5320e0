"""A small project with tokens and tenants, for a real server."""
