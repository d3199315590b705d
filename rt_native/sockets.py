"""Sockets in native code: libc's calls, as `rt_native.lang` has the clock's. They never block but for `epoll_wait`."""

from __future__ import annotations

from typing import Any

from numba.extending import intrinsic

from rt_native.lang import _libc

PEEK_DONTWAIT = 0x02 | 0x40
DONTWAIT = 0x40
SEND = 0x40 | 0x4000  # MSG_DONTWAIT, MSG_NOSIGNAL: a client that is gone is no signal
EPOLLIN = 1


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
