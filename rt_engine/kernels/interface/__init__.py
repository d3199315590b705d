"""What a kernel, an operator and an exporter must agree on, each written once. Read at run time; imports no Numba."""
