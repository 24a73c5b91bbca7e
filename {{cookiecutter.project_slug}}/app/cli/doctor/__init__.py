"""`app doctor`: checks of what a running service depends on. Each module has some of them."""
