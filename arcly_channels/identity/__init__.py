"""Who is behind a connection: claims and tenant, the same for HTTP and WebSocket."""
