"""A station under a fault every second, and what reached its device: `python -m benchmarks.soak`."""
