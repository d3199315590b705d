"""Sockets in native code: libc's calls, as `rt_native.lang` has the clock's. They never block but for `epoll_wait` and `ppoll`."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from rt_native.lang import _libc

PEEK_DONTWAIT = 0x02 | 0x40
DONTWAIT = 0x40
SEND = 0x40 | 0x4000  # MSG_DONTWAIT, MSG_NOSIGNAL: a client that is gone is no signal
EPOLLIN = 1
POLLIN = 1
EINTR, EAGAIN = 4, 11


@intrinsic
def epoll_wait(typingctx: Any, epoll: Any, events: Any, most: Any, timeout_ms: Any) -> Any:
    """epoll_wait(2): how many events there are; -1 when a signal came."""
    return _libc("epoll_wait", "ipii")


@intrinsic
def recv(typingctx: Any, fd: Any, buffer: Any, count: Any, flags: Any) -> Any:
    """recv(2): bytes that came, 0 at the end of the stream, -1 when there is nothing."""
    return _libc("recv", "ippi")


@intrinsic
def send(typingctx: Any, fd: Any, buffer: Any, count: Any, flags: Any) -> Any:
    """send(2): bytes that went, -1 when none can go now."""
    return _libc("send", "ippi")


@intrinsic
def read(typingctx: Any, fd: Any, buffer: Any, count: Any) -> Any:
    """read(2): bytes that came, 0 at the end, -1 when there is nothing (the descriptor must not block)."""
    return _libc("read", "ipp")


@intrinsic
def write(typingctx: Any, fd: Any, buffer: Any, count: Any) -> Any:
    """write(2): bytes that went, -1 when none can go now (the descriptor must not block)."""
    return _libc("write", "ipp")


@intrinsic
def ppoll(typingctx: Any, polls: Any, count: Any, timespec: Any, mask: Any) -> Any:
    """ppoll(2): how many of `count` struct pollfd have events; 0 when the time is over. `mask` 0: signals stay as they are."""
    return _libc("ppoll", "pppp")


@intrinsic
def errno(typingctx: Any) -> Any:
    """Why the last call of this thread failed."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        where = ir.FunctionType(ir.IntType(64), [])
        function = cgutils.get_or_insert_function(builder.module, where, "__errno_location")  # type: ignore[no-untyped-call]
        pointer = builder.inttoptr(builder.call(function, []), ir.IntType(32).as_pointer())
        return builder.sext(builder.load(pointer, typ=ir.IntType(32)), ir.IntType(64))

    return types.int64(), codegen
