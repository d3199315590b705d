"""The ADS link: symbols of a TwinCAT controller, or of whatever speaks ADS."""

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from fieldbus.ads import frames, questions
from fieldbus.ads.address import AdsAddress
from fieldbus.ads.client import NO_SUMS, AdsClient
from fieldbus.ads.lookup import Lookup, Wanted, stopwatch
from fieldbus.ads.protocol import MOST_IN_A_SUM, PLC_PORT, TCP_PORT
from fieldbus.ads.questions import Question
from fieldbus.ads.requests import Item
from fieldbus.ads.values import Values
from fieldbus.ads.watch import Watch
from fieldbus.errors import (
    AddressError,
    BusyError,
    ConfigurationError,
    ConnectionLostError,
    DeviceError,
    RefusedError,
    told,
)
from fieldbus.exchange.block import Event
from fieldbus.exchange.link import Connection, How, NativeLink
from fieldbus.exchange.memory import Note
from fieldbus.exchange.plan import Plan, Samples, Transaction
from fieldbus.link.link import NS, log
from fieldbus.link.ports import Cells
from fieldbus.tags import Quality, Tag

_TRIES_IN_TIMEOUT: Final = 0.45
"""Share of the timeout after which a question is given up: it is asked twice before the connection is."""
_GOODBYE_S: Final = 0.2
"""So long may giving back handles take, at the end."""


class AdsLink(NativeLink):
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
        exchange: How = "own-thread",
    ) -> None:
        super().__init__(name, tags, cycle_s, timeout_s, backoff_s=backoff_s, exchange=exchange)
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
        self._lookup = Lookup([Wanted(t.address.symbol, t.number.nbytes * t.count, t.type) for t in self._symbols()])  # type: ignore[union-attr]
        self._handles: list[Item] = []
        self._handle_of: dict[str, int] = {}
        """Tag -> its notification."""
        self._noted: dict[int, bytes] = {}
        self._questions: list[Question] = []
        self._plan: Plan | None = None
        self._already = b""
        """What has come and is still to be looked at."""
        self._told: list[str] = []

    # --- the exchange -------------------------------------------------------------------------------------------------

    def _open(self, deadline_ns: int) -> None:
        answer_by = stopwatch(deadline_ns, self._stop.is_set)
        self._plan, self._already = None, b""
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
        self._handles, self._handle_of = [], {}
        self._note = "; ".join(self._told)
        self._client.close()

    def _connection(self) -> Connection:
        if self._plan is None:
            self._plan = self._make_plan()
        already = self._already + self._client.rest()
        self._already = b""
        return Connection(self._client.fileno(), self._plan, already=already)

    def _make_plan(self) -> Plan:
        ends, watch = self._client.ends, self._watch
        writes = [question for values in self._outputs for question in values.writes(ends)]
        reads = []
        if self.mode == "read":
            reads = [question for values in self._inputs for question in values.reads(ends, watch)]
        asks_watched = watch.has_sums and bool(reads)
        if watch.items and not asks_watched:
            alone = questions.read_all if watch.has_sums else None
            reads.append(
                alone(ends, watch.items, watch.version) if alone else questions.read_version(ends, watch.version)
            )
        if watch.asks_state or not reads:
            reads.append(questions.read_state(ends, watch.asks_state))
        self._questions = [*writes, *reads]
        transactions = tuple(question.transaction for question in self._questions)
        longest = max(len(t.answer.frame) for t in transactions if t.answer)
        return Plan(
            frames=questions.ads_frames(ends, max(longest, len(self._already))),
            transactions=transactions,
            writes=len(writes),
            answer_ns=round(self.timeout_s * _TRIES_IN_TIMEOUT * NS),
            samples=self._samples(),
        )

    def _cycles(self) -> None:
        """A refusal of a whole request is an answer: the connection holds, and is asked again."""
        while not self._stop.is_set():
            try:
                super()._cycles()
            except RefusedError as error:
                if self._plan is None:  # the device has no such requests, and gets others
                    continue
                self._failed(told(error))
                if self._state[0] != "degraded":
                    self._enter("degraded")
                self._stop.wait(self.cycle_s)

    def _take(self) -> None:
        super()._take()
        rest = self.exchange.rest()
        if self.exchange.fault is Event.UNEXPECTED:  # that packet has been looked at
            rest = rest[frames.TCP.size + frames.TCP.unpack_from(rest)[1] :]
        self._already = rest

    def _hear(self, note: Note) -> None:
        error = self._error_of(note)
        ends_it = note.event not in (Event.REFUSED, Event.BUSY, Event.MISSED)
        if not ends_it and not isinstance(error, ConnectionLostError):
            self._last_error = told(error)
            return
        if isinstance(error, RefusedError):
            quality = Quality.STALE if isinstance(error, BusyError) else Quality.BAD
            self.exchange.transactions[note.transaction]["quality"] = quality
        raise error

    def _named(self, transaction: Transaction, frame: bytes, note: Note) -> DeviceError:
        question = self._questions[note.transaction]
        error = question.named(frame)
        if question.is_sum and note.event is Event.UNEXPECTED and getattr(error, "code", 0) in NO_SUMS:
            self._without_sums(transaction)
        return error

    def _without_sums(self, transaction: Transaction) -> None:
        """The device refuses sum commands of this kind: another plan."""
        self._plan = None
        if transaction.outputs:
            for values in self._outputs:
                values.has_sums = False
            self._remark("the device has no sum write: values are written one by one")
        else:
            self._watch.has_sums = False
            self._remark("the device has no sum commands: values are read one by one")

    def _write(self, outputs: NDArray[np.float64], deadline_ns: int) -> None:
        """A PLC that does not run takes them, and does nothing with them: that is no confirmation."""
        super()._write(outputs, deadline_ns)
        self._client.feed(self._already)
        self._already = b""
        self._watch.ask(self._client, deadline_ns)
        self._watch.check_state(self._client, deadline_ns, is_due=True)

    def _raw(self, tag: Tag) -> bytes:
        handle = self._handle_of.get(tag.name)
        return super()._raw(tag) if handle is None else self.exchange.newest_sample(handle)

    # --- what an exchange needs ---------------------------------------------------------------------------------------

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
            values.items = tuple(items)
        self._lookup.forget()  # another connection may find another program: it is kept only until this is done
        self._note = "; ".join(self._told)

    def _subscribe(self, deadline_ns: int) -> None:
        """Have changes sent, and lay the values of now before the exchange, as if they had been notified."""
        self._noted = {}
        for values in self._inputs:
            values.subscribe(self._client, self.cycle_s, deadline_ns)
        newest = []
        for values in self._inputs:
            newest += values.newest(self._client, self._watch, self._noted, deadline_ns)
        self._handle_of = {
            t.name: h for values in self._inputs for t, h in zip(values.tags, values.handles, strict=True)
        }
        self._already = questions.notification(self._client.ends, newest) if newest else b""

    def _take_samples(self, samples: Sequence[tuple[int, bytes]]) -> None:
        self._noted.update(samples)

    def _samples(self) -> Samples | None:
        if not self._handle_of:
            return None
        each = [
            (handle, item, (field,))
            for values in self._inputs
            for handle, item, field in zip(values.handles, values.items, values.fields, strict=True)
        ]
        return questions.notified(self._client.ends, each)

    def _give_back(self, deadline_ns: int) -> None:
        """Notifications and handles: a controller keeps those of clients that have gone."""
        self._client.feed(self._already)
        self._already = b""
        for handle in self._handle_of.values():
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
