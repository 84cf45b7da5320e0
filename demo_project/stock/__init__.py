"""The same as `slow_client` on Channels as it comes, for a server beside that of the demo."""
