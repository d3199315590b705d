"""The network interface of a bus: may it be used, and if not, one sentence with the command that mends it."""

import errno
import fcntl
import os
import re
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fieldbus.errors import ConnectionLostError
from fieldbus.ethercat.protocol import ETHERTYPE

CAPABILITIES: Final = {13: "CAP_NET_RAW", 12: "CAP_NET_ADMIN"}
"""Bit -> right: to send frames; to have the interface take all that come (pysoem asks for it)."""
_ETHERNET: Final = 1
_UP, _RUNNING = 0x01, 0x40
_SIOCGIFFLAGS, _SIOCGIFADDR, _SIOCGIFHWADDR, _SIOCGIWNAME = 0x8913, 0x8915, 0x8927, 0x8B01
_LINK_LOCAL: Final = "20"
_CLOSING_S, _LOOK_S = 0.5, 0.01
_NET: Final = Path("/proc/thread-self/net")
"""Of the network namespace that this thread is in."""


@dataclass(frozen=True, slots=True)
class InterfaceFacts:
    """What the system says of an interface. `others`: those that could be meant; `masters`: who else speaks EtherCAT on it."""

    name: str
    exists: bool = True
    others: tuple[str, ...] = ()
    is_ethernet: bool = True
    is_up: bool = True
    has_link: bool = True
    addresses: tuple[str, ...] = ()
    missing_rights: tuple[str, ...] = ()
    masters: tuple[str, ...] = field(default=())

    @property
    def problem(self) -> str:
        """Why it cannot be used now, and the command that mends it; empty: it can."""
        name = self.name
        if not self.exists:
            has = ", ".join(self.others) or "none"
            return f'there is no network interface "{name}"; this computer has {has}: ip -br link'
        if not self.is_ethernet:
            return f"interface {name} is no Ethernet with a cable, which EtherCAT needs; which are here: ip -br link"
        if self.missing_rights:
            caps = ",".join(right.lower() for right in self.missing_rights)
            python = Path(sys.executable).resolve()
            return (
                f"this user may not send frames on {name} ({' and '.join(self.missing_rights)}): run it with sudo, or "
                f"sudo setcap {caps}+ep {python}"
            )
        if not self.is_up:
            return f"interface {name} is down: sudo ip link set {name} up"
        if self.addresses:
            return (
                f"interface {name} has the address {', '.join(self.addresses)}, so it is part of a network, and EtherCAT "
                f"needs one of its own; if it is the right one: sudo ip addr flush dev {name}"
            )
        if self.masters:
            who = ", ".join(self.masters)
            return (
                f"another EtherCAT master has {name}, {who}, and a bus has one; stop it first: {_stop(self.masters[0])}"
            )
        if not self.has_link:
            return f"interface {name} has no link: is the cable in, and has the first slave power? ip link show {name}"
        return ""


def _stop(master: str) -> str:
    found = re.match(r"process (\d+)", master)
    return f"kill {found[1]}" if found else "sudo ss -0 -p -a shows who it is"


def check_interface(name: str) -> None:
    """Raises `ConnectionLostError`, whose sentence has the command that mends it, if the interface cannot be used now."""
    if problem := interface_facts(name).problem:
        raise ConnectionLostError(problem)


def interface_facts(name: str) -> InterfaceFacts:
    """What the system says of an interface now."""
    indexes = {own: index for index, own in socket.if_nameindex()}
    if name not in indexes:
        return InterfaceFacts(name, exists=False, others=tuple(sorted(filter(_is_wired, indexes))))
    flags = int.from_bytes(_asked(name, _SIOCGIFFLAGS)[:2], sys.byteorder)
    return InterfaceFacts(
        name,
        is_ethernet=_is_wired(name),
        is_up=bool(flags & _UP),
        has_link=bool(flags & _RUNNING),
        addresses=(*_address_4(name), *addresses_6(name, _read(_NET / "if_inet6"))),
        missing_rights=missing_rights(_read(Path("/proc/thread-self/status")))
        or (() if _may_send() else ("CAP_NET_RAW",)),
        masters=tuple(masters(indexes[name], _NET / "packet", Path("/proc"))),
    )


def _asked(name: str, question: int) -> bytes:
    """What the kernel answers about an interface; zeros: it has nothing to say."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
        return fcntl.ioctl(probe, question, struct.pack("16s24x", name.encode()))[16:]
    return bytes(24)


def _is_wired(name: str) -> bool:
    kind = int.from_bytes(_asked(name, _SIOCGIFHWADDR)[:2], sys.byteorder)
    return kind == _ETHERNET and not any(_asked(name, _SIOCGIWNAME))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _address_4(name: str) -> tuple[str, ...]:
    address = _asked(name, _SIOCGIFADDR)[4:8]
    return (socket.inet_ntoa(address),) if any(address) else ()


def addresses_6(name: str, table: str) -> Iterator[str]:
    """IPv6 addresses, from `/proc/net/if_inet6`, that somebody gave it: every interface has a link-local one by itself."""
    for line in table.splitlines():
        words = line.split()
        if len(words) == 6 and words[5] == name and words[3] != _LINK_LOCAL:
            yield socket.inet_ntop(socket.AF_INET6, bytes.fromhex(words[0]))


def missing_rights(status: str) -> tuple[str, ...]:
    """Rights that a process does not hold, from its `/proc/.../status`."""
    found = re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.MULTILINE)
    held = int(found[1], 16) if found else 0
    return tuple(right for bit, right in CAPABILITIES.items() if not held >> bit & 1)


def _may_send() -> bool:
    """A container may have the capability and be refused all the same."""
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except OSError as error:
        return error.errno not in (errno.EPERM, errno.EACCES)
    return True


def masters(index: int, table: Path, processes: Path) -> Iterator[str]:
    """Who else has a socket for EtherCAT's frames on an interface: `process 42 (python3)`.

    A socket that no process is seen to have counts if it stays: one that a thread of ours just closes is in the table a little longer.

    Args:
        index: of the interface.
        table: `/proc/net/packet`.
        processes: `/proc`.
    """
    inodes = _inodes(index, table)
    owners = _owners(inodes, processes) if inodes else {}
    unseen, until_s = [inode for inode in inodes if inode not in owners], time.monotonic() + _CLOSING_S
    while unseen and time.monotonic() < until_s:
        time.sleep(_LOOK_S)
        there = _inodes(index, table)
        unseen = [inode for inode in unseen if inode in there]
    for pid in dict.fromkeys(owners.values()):
        if pid != str(os.getpid()):
            yield f"process {pid} ({_read(processes / pid / 'comm')})"
    if unseen:
        yield "a process that is not seen from here"


def _inodes(index: int, table: Path) -> list[str]:
    rows = [line.split() for line in _read(table).splitlines()[1:]]
    return [w[8] for w in rows if len(w) == 9 and w[3].lower() == f"{ETHERTYPE:04x}" and w[4] == str(index)]


def _owners(inodes: list[str], processes: Path) -> dict[str, str]:
    """Inode of a socket -> process; those of other users are not seen without rights."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[str, str] = {}
    for folder in processes.glob("[0-9]*"):
        with suppress(OSError):
            for link in (folder / "fd").iterdir():
                with suppress(OSError):
                    inode = wanted.get(os.readlink(link))
                    if inode:
                        found[inode] = folder.name
    return found
