"""SIMD kernels: native modules, compiled once per machine; nothing imports them at run time but `names`."""
