"""How the frames of an outbox reach one kind of server."""
