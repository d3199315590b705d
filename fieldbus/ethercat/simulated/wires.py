"""Cables for a simulated bus: pairs of virtual interfaces, in a network of their own, so that nothing leaves this computer.

    with own_network(), pair("master0", "slaves0"):
        with Bus([...], "slaves0"): ...                  # a master opens master0

Making them needs root, or a name space in which one is root: `unshare -rn COMMAND`.
"""

import ctypes
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from fieldbus.ethercat.wire.socket import BUFFER_BYTES, raw_socket

_NEW_NETWORK: Final = 0x40000000
_NETWORK: Final = "/proc/thread-self/ns/net"
_CARRIER_S: Final = 20.0


def open_port(interface: str) -> socket.socket:
    """A raw socket for EtherCAT's frames on an interface; it does not hear what it sends itself.

    Raises:
        PermissionError: Without CAP_NET_RAW.
        OSError: There is no such interface, or it is down.
    """
    return raw_socket(interface, hears_itself=False, buffer_bytes=BUFFER_BYTES)


def _ip(*arguments: str) -> str:
    done = subprocess.run(("ip", *arguments), capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def _call(name: str, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments):
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


@contextmanager
def own_network() -> Iterator[None]:
    """This thread, and threads and processes that it starts from here on, have a network of their own, with only `lo` in it.

    It goes with the last of them. Raises PermissionError where one is not root.
    """
    before = os.open(_NETWORK, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call("unshare", _NEW_NETWORK)
        try:
            _ip("link", "set", "lo", "up")
            yield
        finally:
            _call("setns", before, _NEW_NETWORK)
    finally:
        os.close(before)


@contextmanager
def pair(one: str, other: str) -> Iterator[None]:
    """Two virtual interfaces with a cable between them; nothing but what a program sends is on it, and no frame is lost on it."""
    _ip("link", "add", one, "type", "veth", "peer", "name", other)
    try:
        for name in (one, other):
            quiet = Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6")
            if quiet.exists():
                quiet.write_text("1", encoding="ascii")
            _ip("link", "set", name, "up")
        _await_carrier(one, other)
        yield
    finally:
        _ip("link", "delete", one)


def _await_carrier(*names: str) -> None:
    """Until the kernel says that they are up: a worker of its own sees to that, and drops what is sent before without a word."""
    until_s = time.monotonic() + _CARRIER_S
    for name in names:
        while "state UP" not in _ip("-o", "link", "show", "dev", name):
            if time.monotonic() > until_s:
                raise OSError(f"network interface {name} is not up {_CARRIER_S:g} s after it was told to be")
            time.sleep(0.001)
