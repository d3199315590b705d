"""What a kernel is to those who call it: `int64 k_name(int64 arena, int64 record)`, which gives a status. Imports no Numba."""

KERNEL_PREFIX = "k_"
"""What distinguishes kernels from the library's other exports."""
