"""Errors of the native toolchain.

NativeError
├── BuildError             the object could not be compiled (our mistake, or a user's own step function)
│   ├── NotBuiltError      it is not compiled yet, and this process must not compile
│   └── UnsafeCacheError   another user could have put code of his own into the cache
└── UnsupportedCpu         this processor lacks what the kernels need (FMA)
"""


class NativeError(Exception):
    """Base of all errors of `rt_native`."""


class BuildError(NativeError):
    """A native library could not be compiled; the message carries the compiler's own words."""


class NotBuiltError(BuildError):
    """There is something to compile, where nothing may be compiled: the start of a service."""


class UnsafeCacheError(BuildError):
    """The cache of compiled code, or a file in it, can be written by another user; says by what command that ends."""


class UnsupportedCpu(NativeError):
    """The processor lacks fused multiply-add: x86-64-v3 (AVX2 + FMA) or aarch64 is the floor."""
