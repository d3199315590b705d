"""When a frame came: the kernel's stamp, so that clocks do not see how late the thread is that runs the bus."""

from typing import Any

from numba.extending import intrinsic

from fieldbus.ethercat.simulated.layout import BUS
from rt_native.lang import _libc, clock_gettime, inline, load_i64
from rt_native.memory import offsets

_NOW = offsets(BUS).now_ns
_STAMP, _REAL_TIME = 0x8907, 0  # SIOCGSTAMPNS: of the frame that was received last
_SECOND = 1_000_000_000


@intrinsic
def ioctl(typingctx: Any, fd: Any, what: Any, argument: Any) -> Any:
    """ioctl(2) with one address."""
    return _libc("ioctl", "ipp")


@inline
def arrival(bus, fd, now, area):  # type: ignore[no-untyped-def]
    """The true time at which the frame came that was just received; never before what the bus has seen. `area`: 16 bytes."""
    if ioctl(fd, _STAMP, area) != 0:
        return now
    stamp = load_i64(area) * _SECOND + load_i64(area + 8)
    clock_gettime(_REAL_TIME, area)
    late = load_i64(area) * _SECOND + load_i64(area + 8) - stamp
    if late < 0 or late > _SECOND:
        return now
    return max(now - late, load_i64(bus + _NOW))
