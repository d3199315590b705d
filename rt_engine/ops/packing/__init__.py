"""Weights as kernels want them, packed when a model is loaded. Pure NumPy."""
