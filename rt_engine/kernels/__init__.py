"""SIMD kernels: native modules, compiled once per machine; at run time only `interface` is imported."""
