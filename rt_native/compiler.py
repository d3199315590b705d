"""Numba and LLVM, which compile native code: the extra `kernels`. Whoever runs what was compiled elsewhere needs neither."""

from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from rt_native.errors import NoCompilerError

HOW = "pip install 'rt-engine[kernels]'"
"""What brings them."""


def is_there() -> bool:
    """Can this installation compile?"""
    return find_spec("numba") is not None and find_spec("llvmlite") is not None


def llvm() -> Any:
    """llvmlite's binding; None where it is not installed."""
    try:
        import llvmlite.binding
    except ImportError:
        return None
    return llvmlite.binding


def versions(what: str) -> tuple[str, str]:
    """Of Numba and llvmlite; `what` is to be compiled, in words.

    Raises:
        NoCompilerError: they are not installed.
    """
    if not is_there():
        raise NoCompilerError(f"{what} has to be compiled, and this installation has no compiler; {HOW} brings it")
    return version("numba"), version("llvmlite")
