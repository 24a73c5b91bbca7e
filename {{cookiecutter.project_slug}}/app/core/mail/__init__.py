"""Mail as a port: what is sent, and the ways of sending it."""
