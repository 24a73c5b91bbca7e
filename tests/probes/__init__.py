"""What a running service does when it is raced, fed nonsense, or loses its database: asked by HTTP alone."""
