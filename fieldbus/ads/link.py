"""The ADS link: symbols of a TwinCAT controller, or of whatever speaks ADS."""

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from fieldbus.ads.address import AdsAddress
from fieldbus.ads.client import AdsClient
from fieldbus.ads.lookup import Lookup, Wanted, stopwatch
from fieldbus.ads.protocol import MOST_IN_A_SUM, PLC_PORT, TCP_PORT
from fieldbus.ads.requests import Item
from fieldbus.ads.values import Values
from fieldbus.ads.watch import Watch
from fieldbus.errors import AddressError, ConfigurationError, DeviceError, RefusedError
from fieldbus.link.cyclic import CyclicLink
from fieldbus.link.link import NS, log
from fieldbus.link.ports import Cells
from fieldbus.link.values import Travelled
from fieldbus.tags import Tag

_GOODBYE_S: Final = 0.2
"""So long may giving back handles take, at the end."""


class AdsLink(CyclicLink):
    """Moves tags with an `AdsAddress` to and from AMS port `ams_port` of the controller `ams_net_id` at `host`.

    Outputs are one sum write per cycle. Inputs, by `mode`:

    - "read": one sum read per cycle;
    - "notify": the controller sends what changes, looked at every `cycle_s`; each cycle only asks for the symbol
      version and the state, which shows that the controller is alive and that it still runs the same program.

    A changed symbol version, or a handle that is no longer valid, makes the link connect anew and look all symbols up
    again: values are never taken from where a symbol used to be. A controller that is not in RUN makes inputs BAD, and
    its outputs are confirmed by nobody; `is_state_watched=False` is for devices whose ADS state says nothing. Where a
    device has no sum commands, each value is a request of its own.

    `host` is, by default, the first four numbers of the NetId, `port` its TCP port. The controller must have a route of
    `local_net_id` (by default the address that the connection comes from, and .1.1) to this computer's address. TwinCAT
    takes one connection from each address: a second link to it needs another `local_host`.
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
        port: int = TCP_PORT,
        local_net_id: str = "",
        local_host: str = "",
        is_state_watched: bool = True,
        backoff_s: tuple[float, float] = (0.05, 2.0),
    ) -> None:
        super().__init__(name, tags, cycle_s, timeout_s, backoff_s=backoff_s)
        if mode not in ("read", "notify"):
            raise ConfigurationError(f"link {name!r}: mode {mode!r} must be 'read' or 'notify'")
        for net_id in (ams_net_id, local_net_id or ams_net_id):
            _check_net_id(name, net_id)
        self.mode = mode
        where = host or ".".join(ams_net_id.split(".")[:4])
        self._client = AdsClient(ams_net_id, ams_port, where, port, local_net_id, local_host, self._take_samples)
        self._watch = Watch(is_state_watched)
        self._inputs = [Values(self._in.cells, some) for some in _together(self._in.cells)]
        self._outputs = [Values(self._out.cells, some) for some in _together(self._out.cells)]
        self._travelled = Travelled([values.codec for values in (*self._inputs, *self._outputs)])
        self._lookup = Lookup([Wanted(t.address.symbol, t.number.nbytes * t.count) for t in self._symbols()])  # type: ignore[union-attr]
        self._handles: list[Item] = []
        self._notified: list[int] = []
        self._early: dict[int, bytes] | None = None
        self._told: list[str] = []

    def _raw(self, tag: Tag) -> bytes:
        return self._travelled.raw(tag.name)

    # --- the device's side of `CyclicLink` ----------------------------------------------------------------------------

    def _open(self, deadline_ns: int) -> None:
        answer_by = stopwatch(deadline_ns, self._stop.is_set)
        self._client.dial(deadline_ns)
        self._watch.open(self._client, answer_by())
        if not self._watch.has_sums:
            self._remark("the device has no sum commands: values are read one by one")
        self._locate(answer_by)
        if self.mode == "notify":
            self._subscribe(answer_by())

    def _close(self) -> None:
        if self._stop.is_set() and self._state[0] in ("up", "degraded"):
            with contextlib.suppress(DeviceError):
                self._give_back(time.monotonic_ns() + round(_GOODBYE_S * NS))
        self._handles, self._notified, self._early = [], [], None
        self._note = "; ".join(self._told)
        self._client.close()

    def _exchange(self, outputs: NDArray[np.float64], inputs: NDArray[np.float64], deadline_ns: int) -> int:
        self._write_all(outputs, deadline_ns)
        asked_ns = time.monotonic_ns()
        if self.mode == "notify" or not self._inputs:
            self._watch.ask(self._client, deadline_ns)
        for values in self._inputs:
            if self.mode == "notify":
                values.decode_received(inputs)
            else:
                values.read(self._client, inputs, deadline_ns)
        self._watch.check_state(self._client, deadline_ns)
        return asked_ns

    def _write(self, outputs: NDArray[np.float64], deadline_ns: int) -> None:
        self._write_all(outputs, deadline_ns)
        self._watch.ask(self._client, deadline_ns)
        self._watch.check_state(self._client, deadline_ns, is_due=True)

    # --- steps --------------------------------------------------------------------------------------------------------

    def _symbols(self) -> list[Tag]:
        tags = [*self._in.cells.tags.values(), *self._out.cells.tags.values()]
        return [tag for tag in tags if isinstance(tag.address, AdsAddress) and tag.address.symbol]

    def _locate(self, answer_by: Callable[[], int]) -> None:
        """Look all symbols up, and tell how far it is."""

        def progress(done: int, total: int) -> None:
            self._note = f"looking up {done} of {total} symbols" if done < total else ""

        version, has_sums = self._watch.version, self._watch.has_sums
        self._handles = self._lookup.run(self._client, version, has_sums, answer_by, progress)
        if self._lookup.is_single and has_sums:
            self._remark("the device has no sums of lookups: symbols are looked up one by one")
        found = iter(self._handles)
        for values in (*self._inputs, *self._outputs):
            items = [next(found) if tag.address.symbol else _by_number(tag) for tag in values.tags]  # type: ignore[union-attr]
            values.lie(items, self._watch)
        self._lookup.forget()  # another connection may find another program: it is kept only until this is done
        self._note = "; ".join(self._told)

    def _subscribe(self, deadline_ns: int) -> None:
        self._early = {}
        for values in self._inputs:
            self._notified += values.subscribe(self._client, self.cycle_s, deadline_ns)
        for values in self._inputs:
            values.settle(self._client, self._early, deadline_ns)
        self._early = None

    def _take_samples(self, samples: Sequence[tuple[int, bytes]]) -> None:
        for handle, value in samples:
            is_known = any(values.receive(handle, value) for values in self._inputs)
            if not is_known and self._early is not None:
                self._early[handle] = value

    def _write_all(self, outputs: NDArray[np.float64], deadline_ns: int) -> None:
        refused: RefusedError | None = None
        for values in self._outputs:  # one that is refused must not keep the others at an old value
            try:
                values.write(self._client, outputs, deadline_ns, self._out.until_ns)
            except RefusedError as error:
                refused = refused or error
            if not values.has_sums:
                self._remark("the device has no sum write: values are written one by one")
        if refused:
            raise refused

    def _give_back(self, deadline_ns: int) -> None:
        """Notifications and handles: a controller keeps those of clients that have gone."""
        for handle in self._notified:
            self._client.delete_notification(handle, deadline_ns)
        if self._watch.has_sums and self._handles:
            self._client.release([item.offset for item in self._handles], deadline_ns)

    def _remark(self, text: str) -> None:
        if text not in self._told:
            self._told.append(text)
            log.warning("link %s: %s", self.name, text, extra={"link": self.name})
            self._note = "; ".join(self._told)


def _check_net_id(link: str, text: str) -> None:
    numbers = text.split(".")
    if len(numbers) != 6 or not all(n.isdecimal() and int(n) <= 255 for n in numbers):
        raise ConfigurationError(f"link {link!r}: {text!r} is no AMS NetId: six numbers from 0 to 255")


def _together(cells: Cells) -> list[list[Tag]]:
    tags = list(cells.tags.values())
    for tag in tags:
        if not isinstance(tag.address, AdsAddress):
            raise AddressError(f"tag {tag.name!r} needs an AdsAddress, has {tag.address!r}")
    most = MOST_IN_A_SUM - 2  # two places are the symbol version's and the state's
    return [tags[i : i + most] for i in range(0, len(tags), most)]


def _by_number(tag: Tag) -> Item:
    address = tag.address
    assert isinstance(address, AdsAddress)
    assert address.group is not None
    assert address.offset is not None
    return Item(tag.name, address.group, address.offset, tag.number.nbytes * tag.count)
