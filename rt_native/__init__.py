"""Python functions -> one object file -> addresses: native code without a compiler on the machine and without Numba at run time."""
