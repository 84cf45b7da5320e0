"""The way of one frame to many connections. Knows neither Django nor a server."""
