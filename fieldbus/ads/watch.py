"""Does the controller still run the program whose symbols we know? Its symbol version, and its ADS state.

A stopped PLC answers all questions about its symbols: the values stay where they were, and nobody acts on outputs. Both
numbers travel in the sum read of the values, so they are of the same moment, where the device has them as values.
"""

import time
from collections.abc import Sequence
from typing import Final

from fieldbus.ads import requests
from fieldbus.ads.client import NO_SUMS, AdsClient
from fieldbus.ads.protocol import RUN
from fieldbus.ads.requests import STATE, VERSION, Item
from fieldbus.ads.words import not_running
from fieldbus.errors import ConnectionLostError, RefusedError

STATE_NS: Final = 100_000_000
"""A state that is no value is asked for every so often; one that is not RUN, in each exchange."""


class Watch:
    """What is known of one controller's program.

    `items` are to be read with the values, behind them; `has_sums`: does the device know sum reads? `version` is empty
    where it keeps none: not every ADS device is a PLC.
    """

    def __init__(self, is_state_watched: bool = True) -> None:
        self._is_state_watched = is_state_watched
        self.items: tuple[Item, ...] = ()
        self.has_sums = True
        self.version = b""
        self.state = RUN
        self._state_due_ns = 0

    def open(self, client: AdsClient, deadline_ns: int) -> None:
        """Find out what this device has; the version of now is the one that holds."""
        self.state, self._state_due_ns, self.version = RUN, 0, b""
        first = _read(client, (VERSION,), deadline_ns)
        self.has_sums = first is not None
        if first is None:
            try:
                self.version = client.read(VERSION, deadline_ns)
            except RefusedError:
                return
        else:
            self.version = b"" if first[0][0] else first[1]
        self.items = (VERSION,) if self.version else ()
        if self.has_sums and self._is_state_watched:
            both = _read(client, (VERSION, STATE), deadline_ns)
            if both is not None and not both[0][1]:
                self.items = (*self.items, STATE)

    @property
    def asks_state(self) -> bool:
        """Is the state watched, and is it no value?"""
        return self._is_state_watched and STATE not in self.items

    @property
    def nbytes(self) -> int:
        """Of the items' values."""
        return sum(item.nbytes for item in self.items)

    def take(self, codes: Sequence[int], values: bytes) -> None:
        """What was read of `items`; raises `ConnectionLostError` when the symbols have changed."""
        at = 0
        for item, code in zip(self.items, codes, strict=True):
            value = values[at : at + item.nbytes]
            at += item.nbytes
            if item is VERSION and (code or value != self.version):
                raise ConnectionLostError("the controller's symbols changed; connecting anew")
            if item is STATE:
                self.state = int.from_bytes(value, "little") if not code else 0

    def ask(self, client: AdsClient, deadline_ns: int) -> None:
        """Read `items` alone."""
        if self.items and self.has_sums:
            data = requests.sum_read(self.items)
            codes, values = client.sum_read(data, len(self.items), self.nbytes, deadline_ns)
            self.take(codes, values)
        elif self.items:
            self.take((0,), client.read(VERSION, deadline_ns))

    def check_state(self, client: AdsClient, deadline_ns: int, is_due: bool = False) -> None:
        """Raises `RefusedError` unless the controller is in RUN; asks where that is no value and its time has come."""
        if self.asks_state:
            now_ns = time.monotonic_ns()
            if is_due or now_ns >= self._state_due_ns or self.state != RUN:
                self.state = client.read_state(deadline_ns)
                self._state_due_ns = now_ns + STATE_NS
        if self.state != RUN:
            raise not_running(self.state)


def _read(client: AdsClient, items: Sequence[Item], deadline_ns: int) -> tuple[tuple[int, ...], bytes] | None:
    """A sum read; None: the device has none, or not of these."""
    try:
        return client.sum_read(requests.sum_read(items), len(items), sum(i.nbytes for i in items), deadline_ns)
    except RefusedError as error:
        if error.code in NO_SUMS:
            return None
        raise
