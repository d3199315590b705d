"""Who may connect, how much one client may ask, and what it may write. Closed unless the station says otherwise.

Access     what one server allows: networks, AMS NetIds, certificates, writable names, limits
  admit()  -> Client    one connection, with its rate; or None, and a line in the audit log
"""

from __future__ import annotations

import ipaddress
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

Record = Callable[[str, str, str], None]
"""(who, what, outcome) for the audit log."""

LOOPBACK: Final = ("127.0.0.0/8", "::1/128")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one server, or one client, may have at most."""

    connections: int = 32
    connections_per_address: int = 32
    handles: int = 10_000
    """Of one client."""
    notifications: int = 500
    """Of one client."""
    frame_bytes: int = 1 << 20
    """Of one request or answer."""
    requests_per_second: int = 5000
    """Of one client; for a moment, as many as in one second."""
    batch: int = 256
    """Sets of inputs in one predict call."""


def nothing(who: str, what: str, outcome: str) -> None:
    """An audit log that keeps nothing."""


class Bucket:
    """A token bucket: so many at once as it holds, then `rate` a second.

    Args:
        rate: tokens that come in a second.
        holds: the most that it has, and those that it begins with; left out: one second's worth.
    """

    __slots__ = ("_holds", "_then", "_tokens", "rate")

    def __init__(self, rate: float, holds: float | None = None) -> None:
        self.rate = rate
        self._holds = self._tokens = rate if holds is None else holds
        self._then = time.monotonic()

    def level(self) -> float:
        """How many there are now."""
        now = time.monotonic()
        tokens = self._tokens + (now - self._then) * self.rate
        self._tokens = tokens = tokens if tokens < self._holds else self._holds
        self._then = now
        return tokens

    def take_one(self) -> bool:
        """Take one; False when there is none."""
        if self.level() < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def take(self, most: int) -> int:
        """Take up to `most` of those that were there at the last look; gives how many."""
        granted = max(min(most, int(self._tokens)), 0)
        self._tokens -= granted
        return granted


class Client(Bucket):
    """One connection, with its requests: at most `rate` a second, for a moment as many as in one. `name` is for the audit log."""

    __slots__ = ("address", "name")

    def __init__(self, name: str, address: str, rate: float) -> None:
        super().__init__(rate)
        self.name, self.address = name, address

    may_ask = Bucket.take_one
    """Count one request; False when there were too many."""


class Access:
    """What one server allows. Servers' thread only.

    Args:
        networks: addresses and networks of those who may connect; by default this computer alone.
        net_ids: AMS NetIds of those who may ask; empty: any from an allowed address.
        certificates: SHA-256 fingerprints (hex) or common names of clients' certificates; empty: any that the server's
            certificate authority signed.
        writable: patterns of symbols that clients may write.
        limits: how much.
        audit: where refusals go.

    Raises:
        ValueError: an entry of `networks` is none; the message says which.
    """

    def __init__(
        self,
        networks: Sequence[str] = (),
        net_ids: Sequence[str] = (),
        certificates: Sequence[str] = (),
        writable: Sequence[str] = (),
        limits: Limits | None = None,
        audit: Record = nothing,
    ) -> None:
        self._networks = tuple(ipaddress.ip_network(network) for network in networks or LOOPBACK)
        self._net_ids = frozenset(net_ids)
        self._certificates = frozenset(entry.replace(":", "").lower() for entry in certificates)
        self.writable = tuple(writable)
        self.limits = limits or Limits()
        self._record = audit
        self.refused = 0
        """Whatever the audit log was told as refused: connections, users, writes, calls."""
        self._clients: set[Client] = set()
        self._by_address: Counter[str] = Counter()

    @property
    def clients(self) -> int:
        """How many are connected."""
        return len(self._clients)

    def audit(self, who: str, what: str, outcome: str) -> None:
        """Tell the audit log; what is refused is counted."""
        self._record(who, what, outcome)
        self.refused += outcome.startswith("refused")

    def admit(self, address: str, certificate: tuple[str, str] | None = None) -> Client | None:
        """Let a connection in, or not.

        Args:
            address: IP address of the client; "" for a serial line, which is always let in.
            certificate: (SHA-256 fingerprint in hex, common name) of a client that has one.
        """
        return self._admit(address, certificate, self._objection(address, certificate))

    def expect(self, address: str) -> Client | None:
        """Keep a place for a connection whose certificate is still to come, or not. Then `release` it, and `admit`."""
        return self._admit(address, None, self._address_objection(address) or self._count_objection(address))

    def _admit(self, address: str, certificate: tuple[str, str] | None, why: str) -> Client | None:
        name = address + (f" {certificate[1]}" if certificate else "")
        if why:
            self.audit(name, "connect", why)
            return None
        rate = float(self.limits.requests_per_second)
        client = Client(name or "serial line", address, rate)
        self._clients.add(client)
        self._by_address[address] += 1
        return client

    def release(self, client: Client) -> None:
        """A connection has ended."""
        if client in self._clients:
            self._clients.remove(client)
            self._by_address[client.address] -= 1
            if not self._by_address[client.address]:
                del self._by_address[client.address]

    def allows_net_id(self, client: Client, net_id: str) -> bool:
        """May a client with this AMS NetId ask? A refusal is noted."""
        if not self._net_ids or net_id in self._net_ids:
            return True
        self.audit(f"{client.name} {net_id}", "ask", "refused: AMS NetId not allowed")
        return False

    def _objection(self, address: str, certificate: tuple[str, str] | None) -> str:
        why = self._address_objection(address)
        if not why and self._certificates:
            names = () if certificate is None else (certificate[0].replace(":", "").lower(), certificate[1].lower())
            if not self._certificates.intersection(names):
                why = "refused: certificate not allowed"
        return why or self._count_objection(address)

    def _address_objection(self, address: str) -> str:
        if not address:
            return ""
        try:
            ip = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return "refused: no IP address"
        mapped = getattr(ip, "ipv4_mapped", None)
        return "" if any((mapped or ip) in network for network in self._networks) else "refused: address not allowed"

    def _count_objection(self, address: str) -> str:
        if len(self._clients) >= self.limits.connections:
            return "refused: too many connections"
        if self._by_address[address] >= self.limits.connections_per_address:
            return "refused: too many connections from this address"
        return ""
