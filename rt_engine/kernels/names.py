"""Names of kernels, as operators and programs write them. This file is read at run time and imports no Numba."""

KERNEL_PREFIX = "k_"
"""What distinguishes kernels from the library's other exports."""
