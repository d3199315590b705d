"""The ADS link: symbols of a TwinCAT controller, through pyads."""

import threading
import time
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fieldbus.ads.address import AdsAddress
from fieldbus.ads.client import VERSION, AdsClient, Item, SumRead, check_items, sum_write_head
from fieldbus.ads.protocol import MOST_IN_A_SUM, PLC_PORT
from fieldbus.codec import Codec, Field
from fieldbus.errors import AddressError, ConfigurationError, ConnectionLostError, RefusedError
from fieldbus.link.cyclic import CyclicLink
from fieldbus.link.ports import Cells
from fieldbus.link.values import Travelled
from fieldbus.tags import Order, Tag


class AdsLink(CyclicLink):
    """Moves tags with an `AdsAddress` to and from AMS port `ams_port` of the controller `ams_net_id` at `host`.

    Outputs are one sum write per cycle. Inputs, by `mode`:

    - "read": one sum read per cycle;
    - "notify": the controller sends what changes, looked at every `cycle_s`; each cycle only asks for the symbol
      version, one byte, which shows that the controller is alive and that it still runs the same program.

    A changed symbol version, or a handle that is no longer valid, makes the link connect anew and look all symbols up
    again: values are never taken from where a symbol used to be. `host` is, by default, the first four numbers of the
    NetId. The controller must have a route to this machine.
    """

    def __init__(
        self,
        name: str,
        tags: Sequence[Tag],
        ams_net_id: str,
        ams_port: int = PLC_PORT,
        host: str = "",
        cycle_s: float = 0.01,
        timeout_s: float = 0.5,
        *,
        mode: Literal["read", "notify"] = "read",
        backoff_s: tuple[float, float] = (0.05, 2.0),
    ) -> None:
        super().__init__(name, tags, cycle_s, timeout_s, backoff_s=backoff_s)
        if mode not in ("read", "notify"):
            raise ConfigurationError(f"link {name!r}: mode {mode!r} must be 'read' or 'notify'")
        numbers = ams_net_id.split(".")
        if len(numbers) != 6 or not all(n.isdecimal() and int(n) <= 255 for n in numbers):
            raise ConfigurationError(f"link {name!r}: {ams_net_id!r} is no AMS NetId: six numbers from 0 to 255")
        self.mode = mode
        self._client = AdsClient(ams_net_id, ams_port, host or ".".join(numbers[:4]))
        self._in_groups = [_Group(self._in.cells, tags) for tags in _groups(self._in.cells)]
        self._out_groups = [_Group(self._out.cells, tags) for tags in _groups(self._out.cells)]
        self._travelled = Travelled([group.codec for group in (*self._in_groups, *self._out_groups)])
        self._version = b""
        self._version_read = SumRead([VERSION])

    def _raw(self, tag: Tag) -> bytes:
        return self._travelled.raw(tag.name)

    def _open(self, deadline_ns: int) -> None:
        self._client.dial(deadline_ns)
        for group in (*self._in_groups, *self._out_groups):
            group.locate(self._client, deadline_ns)
        self._version = self._read_version(deadline_ns)
        if self.mode == "notify":
            for group in self._in_groups:
                group.subscribe(self._client, self.cycle_s, deadline_ns)

    def _close(self) -> None:
        self._client.close()

    def _exchange(self, outputs: NDArray[np.float64], inputs: NDArray[np.float64], deadline_ns: int) -> int:
        self._write(outputs, deadline_ns)
        asked_ns = time.monotonic_ns()
        if self.mode == "notify" or not self._in_groups:
            self._check_version(self._read_version(deadline_ns))
        for group in self._in_groups:
            if self.mode == "notify":
                group.decode_received(inputs)
            else:
                self._check_version(group.read(self._client, inputs, deadline_ns))
        return asked_ns

    def _write(self, outputs: NDArray[np.float64], deadline_ns: int) -> None:
        refused: RefusedError | None = None
        for group in self._out_groups:  # one that is refused must not keep the others at an old value
            try:
                group.write(self._client, outputs, deadline_ns, self._out.until_ns)
            except RefusedError as error:
                refused = refused or error
        if refused:
            raise refused

    def _read_version(self, deadline_ns: int) -> bytes:
        """The symbol version; nothing if the device keeps none (not every ADS device is a PLC)."""
        codes, value = self._client.sum_read(self._version_read, deadline_ns)
        return b"" if codes[0] else value

    def _check_version(self, version: bytes) -> None:
        if version != self._version:
            raise ConnectionLostError("the controller's symbols changed; connecting anew")


class _Group:
    """Tags that travel in one sum command, one after the other, and the symbol version behind them when read."""

    def __init__(self, cells: Cells, tags: Sequence[Tag]) -> None:
        self._tags = tags
        fields: list[Field] = []
        self._places: list[slice] = []
        nbytes = 0
        for tag in tags:
            size = tag.number.nbytes
            fields.append(Field(tag, cells.first[tag.name], nbytes, size, Order.DCBA, tag.count))
            self._places.append(slice(nbytes, nbytes + size * tag.count))
            nbytes += size * tag.count
        self.codec = Codec(fields, nbytes)
        self._items: list[Item] = []
        self._sum_read = SumRead([])
        self._write_head = b""
        self._received = bytearray()
        self._lock = threading.Lock()

    def locate(self, client: AdsClient, deadline_ns: int) -> None:
        self._items = [_locate(client, tag, deadline_ns) for tag in self._tags]
        self._sum_read = SumRead([*self._items, VERSION])
        self._write_head = sum_write_head(self._items)

    def read(self, client: AdsClient, inputs: NDArray[np.float64], deadline_ns: int) -> bytes:
        """Read all; gives the symbol version, nothing if the device keeps none."""
        codes, values = client.sum_read(self._sum_read, deadline_ns)
        check_items(self._items, codes[:-1])
        self.codec.decode(values[:-1], inputs)
        return b"" if codes[-1] else values[-1:]

    def write(self, client: AdsClient, outputs: NDArray[np.float64], deadline_ns: int, until_ns: int) -> None:
        client.sum_write(self._items, self._write_head, self.codec.encode(outputs), deadline_ns, until_ns)

    def subscribe(self, client: AdsClient, cycle_s: float, deadline_ns: int) -> None:
        """Have all changes sent, and the values of now.

        These are read: AdsLib drops a first notification that comes before it knows the handle, and a value that then
        never changes would never arrive. A value that was notified meanwhile is at least as new, and stays.
        """
        received = self._received = bytearray(self.codec.nbytes)  # of this connection: late notes go to the old one
        missing = set(range(len(self._items)))
        for i, item in enumerate(self._items):

            def store(data: bytes, i: int = i) -> None:
                with self._lock:
                    received[self._places[i]] = data
                    missing.discard(i)

            client.notify(item, cycle_s, store, deadline_ns)
        codes, values = client.sum_read(self._sum_read, deadline_ns)
        check_items(self._items, codes[:-1])
        with self._lock:
            for i in missing:
                received[self._places[i]] = values[self._places[i]]

    def decode_received(self, inputs: NDArray[np.float64]) -> None:
        with self._lock:
            data = bytes(self._received)
        self.codec.decode(data, inputs)


def _groups(cells: Cells) -> list[list[Tag]]:
    tags = list(cells.tags.values())
    for tag in tags:
        if not isinstance(tag.address, AdsAddress):
            raise AddressError(f"tag {tag.name!r} needs an AdsAddress, has {tag.address!r}")
    most = MOST_IN_A_SUM - 1  # one place is the symbol version's
    return [tags[i : i + most] for i in range(0, len(tags), most)]


def _locate(client: AdsClient, tag: Tag, deadline_ns: int) -> Item:
    address = tag.address
    assert isinstance(address, AdsAddress)
    nbytes = tag.number.nbytes * tag.count
    if address.symbol:
        return client.locate(address.symbol, nbytes, deadline_ns)
    assert address.group is not None
    assert address.offset is not None
    return Item(tag.name, address.group, address.offset, nbytes)
