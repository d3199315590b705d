"""Errors of the native toolchain.

NativeError
├── BuildError             the object could not be compiled (our mistake, or a user's own step function)
│   ├── NoCompilerError    it would have to be compiled, and Numba is not installed
│   ├── NotBuiltError      it is not compiled yet, and this process must not compile
│   └── UnsafeCacheError   another user could have put code of his own where compiled code is
└── UnsupportedCpu         this processor lacks what the kernels need (SSE4.2)
"""


class NativeError(Exception):
    """Base of all errors of `rt_native`."""


class BuildError(NativeError):
    """A native library could not be compiled; the message carries the compiler's own words."""


class NoCompilerError(BuildError):
    """There is something to compile in an installation without Numba and LLVM; says what brings them."""


class NotBuiltError(BuildError):
    """There is something to compile, where nothing may be compiled: the start of a service."""


class UnsafeCacheError(BuildError):
    """The cache of compiled code, a wheel's libraries, or a file in them can be written by another user; says what mends it."""


class UnsupportedCpu(NativeError):
    """The processor lacks what the kernels need: x86-64-v2 (SSE4.2) or aarch64 is the floor.

    Also: a level, or an arithmetic, that does not exist or that it cannot have.
    """
