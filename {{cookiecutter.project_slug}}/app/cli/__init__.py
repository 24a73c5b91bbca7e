"""The commands of `app`: one module for each group. May import everything."""
