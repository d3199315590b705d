"""Errors of the native toolchain.

NativeError
├── BuildError       the object could not be compiled (our mistake, or a user's own step function)
└── UnsupportedCpu   this processor lacks what the kernels need (FMA)
"""


class NativeError(Exception):
    """Base of all errors of `rt_native`."""


class BuildError(NativeError):
    """A native library could not be compiled; the message carries the compiler's own words."""


class UnsupportedCpu(NativeError):
    """The processor lacks fused multiply-add: x86-64-v3 (AVX2 + FMA) or aarch64 is the floor."""
