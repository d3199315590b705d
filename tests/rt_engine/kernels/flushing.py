"""Call kernels as the executor does, with denormals flushed to zero."""

from pathlib import Path

from rt_engine.kernels.interface.abi import KERNEL_PREFIX
from rt_native.library import Library
from tests.rt_engine.kernels.calling import Call

_FLUSH = Library("test-flush", ("flush_native",), path=(str(Path(__file__).parent),))


def run_flushed(one: Call, library: Library, kernel: str) -> int:
    """Call the kernel once with denormals flushed; gives its status."""
    address = library.address(KERNEL_PREFIX + kernel)
    return _FLUSH.function("call_flushed")(address, one.arena.address, one.record.address)
