"""Tags that travel together: the values of one sum command, one after the other, or of single requests."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fieldbus.ads import requests
from fieldbus.ads.client import NO_SUMS, AdsClient, check_items
from fieldbus.ads.requests import Item
from fieldbus.ads.watch import Watch
from fieldbus.codec import Codec, Field
from fieldbus.errors import ConnectionLostError, RefusedError
from fieldbus.link.ports import Cells
from fieldbus.tags import Order, Tag


class Values:
    """Some tags of one link. `has_sums`: are they read, or written, in one request?"""

    def __init__(self, cells: Cells, tags: Sequence[Tag]) -> None:
        self.tags = tags
        self.has_sums = True
        fields: list[Field] = []
        self.places: list[slice] = []
        nbytes = 0
        for tag in tags:
            size = tag.number.nbytes
            fields.append(Field(tag, cells.first[tag.name], nbytes, size, Order.DCBA, tag.count))
            self.places.append(slice(nbytes, nbytes + size * tag.count))
            nbytes += size * tag.count
        self.codec = Codec(fields, nbytes)
        self.items: tuple[Item, ...] = ()
        self._watch = Watch()
        self._read_data = b""
        self._received = bytearray()
        self._notified: dict[int, int] = {}
        self._missing: set[int] = set()

    @property
    def nbytes(self) -> int:
        """Of all values."""
        return self.codec.nbytes

    def lie(self, items: Sequence[Item], watch: Watch) -> None:
        """Where the tags lie on this connection, and what is to be read behind them."""
        self.items, self._watch = tuple(items), watch
        self._read_data = requests.sum_read([*items, *watch.items])

    def read(self, client: AdsClient, inputs: NDArray[np.float64], deadline_ns: int) -> None:
        """Read all into their cells."""
        self.codec.decode(self._read(client, deadline_ns), inputs)

    def _read(self, client: AdsClient, deadline_ns: int) -> bytes:
        watch = self._watch
        if not watch.has_sums:
            values = b"".join(client.read(item, deadline_ns) for item in self.items)
            watch.ask(client, deadline_ns)
            return values
        count, nbytes = len(self.items) + len(watch.items), self.nbytes + watch.nbytes
        codes, values = client.sum_read(self._read_data, count, nbytes, deadline_ns)
        watch.take(codes[len(self.items) :], values[self.nbytes :])
        check_items(self.items, codes[: len(self.items)])
        return values[: self.nbytes]

    def write(self, client: AdsClient, outputs: NDArray[np.float64], deadline_ns: int, until_ns: int) -> None:
        """Write all; raises `RefusedError` naming the first that was refused, after `until_ns` `OutdatedError`."""
        values = self.codec.encode(outputs)
        if self.has_sums:
            try:
                got = client.read_write("sum write", requests.sum_write(self.items, values), deadline_ns, until_ns)
            except RefusedError as error:
                if error.code not in NO_SUMS:
                    raise
                self.has_sums = False
            else:
                codes = requests.codes(
                    "sum write", requests.whole("sum write", got, 4 * len(self.items)), len(self.items)
                )
                check_items(self.items, codes)
                return
        self._write_singly(client, values, deadline_ns, until_ns)

    def _write_singly(self, client: AdsClient, values: bytes, deadline_ns: int, until_ns: int) -> None:
        codes = []
        for item, place in zip(self.items, self.places, strict=True):
            try:
                client.write(item, values[place], deadline_ns, until_ns)
            except RefusedError as error:  # one that is refused must not keep the others at an old value
                codes.append(error.code)
            else:
                codes.append(0)
        check_items(self.items, codes)

    # --- notifications ------------------------------------------------------------------------------------------------

    def subscribe(self, client: AdsClient, cycle_s: float, deadline_ns: int) -> list[int]:
        """Have all changes sent; gives the notifications' handles. `settle` ends what this begins."""
        self._received = bytearray(self.nbytes)
        self._missing = set(range(len(self.items)))
        handles = _notifications(client, self.items, cycle_s, deadline_ns)
        self._notified = {handle: i for i, handle in enumerate(handles)}
        return handles

    def settle(self, client: AdsClient, early: dict[int, bytes], deadline_ns: int) -> None:
        """The values of now, of which none has to change ever; those that were notified meanwhile are newer, and stay.

        `early`: what came before its handle was known.
        """
        for handle, value in early.items():
            self.receive(handle, value)
        values = self._read(client, deadline_ns)
        for i in self._missing:
            self._received[self.places[i]] = values[self.places[i]]

    def receive(self, handle: int, value: bytes) -> bool:
        """A notified value; gives whether it is one of these tags'."""
        i = self._notified.get(handle)
        if i is None:
            return False
        item = self.items[i]
        if len(value) != item.nbytes:
            message = f"{item.label} is notified with {len(value)} bytes, not {item.nbytes}; connecting anew"
            raise ConnectionLostError(message)
        self._received[self.places[i]] = value
        self._missing.discard(i)
        return True

    def decode_received(self, inputs: NDArray[np.float64]) -> None:
        """The newest values into their cells."""
        self.codec.decode(bytes(self._received), inputs)


def _notifications(client: AdsClient, items: Sequence[Item], cycle_s: float, deadline_ns: int) -> list[int]:
    """Notifications for all, in one request where the device has that."""
    label = "notifications"
    try:
        got = client.read_write(label, requests.sum_add_notifications(items, cycle_s), deadline_ns)
    except RefusedError as error:
        if error.code not in NO_SUMS:
            raise
        return [client.notify(item, cycle_s, deadline_ns) for item in items]
    pairs = requests.pairs(label, requests.whole(label, got, 8 * len(items)), len(items))
    check_items(items, [code for code, _ in pairs])
    return [handle for _, handle in pairs]
