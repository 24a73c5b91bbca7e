"""How fast the baked service is, beside the same endpoints without layers: `uv run tests/benchmark.py`."""
