"""Graph -> kernel calls -> places in memory -> Program. Knows kernels by name."""
