"""An ADS client: one TCP socket, one question at a time, a deadline for each.

The protocol itself is in `fieldbus.ads.conversation` and `fieldbus.ads.requests`; here are the socket and the clock.

TwinCAT finds the way back by the source NetId: the controller has a route of that NetId to this computer's address. Its
router keeps one TCP connection for each address that it knows: a second one from the same computer closes the first.
"""

import itertools
import socket
import time
from collections.abc import Callable, Sequence
from typing import Final

from fieldbus.ads import frames, requests
from fieldbus.ads.conversation import Answer, Conversation, Ends, Samples
from fieldbus.ads.protocol import MOST_IN_A_SUM, SYMBOL_VERSION_INVALID, TCP_PORT, Command, Error, Group
from fieldbus.ads.requests import Item
from fieldbus.ads.words import failure
from fieldbus.errors import ConnectionLostError, DeviceError, NoAnswerError, cause

SYMBOLS_CHANGED: Final = (Error.BAD_OFFSET, SYMBOL_VERSION_INVALID)
"""The first: an unknown handle."""
NO_SUMS: Final = (Error.NO_SERVICE, Error.NO_GROUP)
"""How a device answers that has no sum commands."""
_NS: Final = 1_000_000_000
_AT_ONCE: Final = 65536
_own_ports = itertools.cycle(range(30_000, 32_000))
"""AMS ports of ours; another one for each connection, so that what an older one had asked for is told apart."""


class AdsClient:
    """A connection to one AMS port of one controller. One thread at a time.

    Args:
        net_id: of the controller.
        ams_port: in the controller.
        host: its name or address.
        port: its TCP port.
        local_net_id: ours; empty: the address that the connection comes from, and .1.1.
        local_host: that address; empty: the system chooses.
        on_samples: gets (handle, value) of what the controller notifies of, in the thread that asks.
    """

    def __init__(
        self,
        net_id: str,
        ams_port: int,
        host: str,
        port: int = TCP_PORT,
        local_net_id: str = "",
        local_host: str = "",
        on_samples: Callable[[Sequence[tuple[int, bytes]]], None] = lambda values: None,
    ) -> None:
        self.net_id, self.ams_port, self.host, self.port = net_id, ams_port, host, port
        self._local_net_id, self._local_host = local_net_id, local_host
        self._on_samples = on_samples
        self._socket: socket.socket | None = None
        self._conversation: Conversation | None = None
        self._answers = 0

    def dial(self, deadline_ns: int) -> None:
        """Connect; raises `ConnectionLostError`."""
        try:
            source = (self._local_host, 0) if self._local_host else None
            self._socket = socket.create_connection((self.host, self.port), _remaining_s(deadline_ns), source)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            own = self._local_net_id or f"{self._socket.getsockname()[0].removeprefix('::ffff:')}.1.1"
            ends = Ends(frames.net_id(self.net_id), self.ams_port, frames.net_id(own), next(_own_ports))
        except (OSError, UnicodeError) as error:
            self.close()
            raise ConnectionLostError(f"cannot connect to {self.host}:{self.port}: {cause(error)}") from error
        except ValueError as error:
            self.close()
            raise ConnectionLostError(f"{error}; where the way is IPv6, say ours in local_net_id") from error
        self._conversation, self._answers = Conversation(ends), 0

    def close(self) -> None:
        """Drop the connection, if any."""
        if self._socket is not None:
            self._socket.close()
        self._socket = self._conversation = None

    @property
    def ends(self) -> Ends:
        """The addresses of the connection."""
        assert self._conversation is not None, "dial first"
        return self._conversation.ends

    def fileno(self) -> int:
        """The connection's descriptor, which does not block; -1 without one."""
        return self._socket.fileno() if self._socket else -1

    def rest(self) -> bytes:
        """The beginning of a packet that has come, for whoever reads on; here it is forgotten."""
        return self._conversation.take_rest() if self._conversation else b""

    def feed(self, data: bytes) -> None:
        """What somebody else has read from the connection: notifications, answers that nobody awaits."""
        if self._conversation is not None:
            self._on_events(self._conversation.feed(data))

    @property
    def dropped(self) -> int:
        """Packets on this connection that were not for us."""
        return self._conversation.dropped if self._conversation else 0

    # --- commands -----------------------------------------------------------------------------------------------------

    def read(self, item: Item, deadline_ns: int) -> bytes:
        """The bytes of one item."""
        got = self.ask(item.label, Command.READ, requests.read(item), deadline_ns)
        return requests.whole(item.label, got, item.nbytes)

    def read_write(self, label: str, data: bytes, deadline_ns: int) -> bytes:
        """What a ReadWrite with `data` (of `fieldbus.ads.requests`) gives."""
        return self.ask(label, Command.READ_WRITE, data, deadline_ns)

    def by_name(self, group: int, name: str, answer_bytes: int, deadline_ns: int) -> bytes:
        """What `group` tells of a symbol."""
        return self.read_write(
            name, requests.read_write(group, 0, answer_bytes, requests.name_bytes(name)), deadline_ns
        )

    def read_state(self, deadline_ns: int) -> int:
        """The controller's ADS state."""
        got = requests.whole("ReadState", self.ask("ReadState", Command.READ_STATE, b"", deadline_ns), 4)
        return int.from_bytes(got[:2], "little")

    def notify(self, item: Item, cycle_s: float, deadline_ns: int) -> int:
        """Have an item's changes sent; gives the notification's handle."""
        got = self.ask(item.label, Command.ADD_NOTIFICATION, requests.add_notification(item, cycle_s), deadline_ns)
        return int.from_bytes(requests.whole(item.label, got, 4), "little")

    def delete_notification(self, handle: int, deadline_ns: int) -> None:
        """End a notification."""
        self.ask("notification", Command.DELETE_NOTIFICATION, frames.RESULT.pack(handle), deadline_ns)

    def release(self, handles: Sequence[int], deadline_ns: int) -> None:
        """Give symbols' handles back, in sum writes; one that the device does not know is no matter."""
        for at in range(0, len(handles), MOST_IN_A_SUM):
            some = handles[at : at + MOST_IN_A_SUM]
            items = [Item("handle", Group.RELEASE_HANDLE, 0, 4)] * len(some)
            data = requests.sum_write(items, b"".join(map(frames.RESULT.pack, some)))
            self.read_write("releasing handles", data, deadline_ns)

    def sum_read(self, data: bytes, count: int, nbytes: int, deadline_ns: int) -> tuple[tuple[int, ...], bytes]:
        """(return code of each item, all values one after the other) of a `requests.sum_read` of `nbytes` of values."""
        got = self.read_write("sum read", data, deadline_ns)
        codes = requests.codes("sum read", got, count)
        return codes, requests.whole("sum read", got[4 * count :], nbytes)

    def ask(self, label: str, command: int, data: bytes, deadline_ns: int) -> bytes:
        """One question, and what its answer carries behind the return code.

        Raises what the return code means; `NoAnswerError` and `GarbageError` name what came in the answer's place.
        """
        assert self._conversation is not None, "dial first"
        invoke, frame = self._conversation.ask(command, data)
        try:
            self._send(frame, deadline_ns)
            answer = self._await(label, invoke, deadline_ns)
        finally:
            self._conversation.give_up(invoke)
        if answer.error:
            raise failure(label, answer.error)
        code, got = requests.result(label, command, answer.data)
        if code:
            raise failure(label, code)
        return got

    # --- the socket ---------------------------------------------------------------------------------------------------

    def _send(self, frame: bytes, deadline_ns: int) -> None:
        assert self._socket is not None
        try:
            self._socket.settimeout(_remaining_s(deadline_ns))
            self._socket.sendall(frame)
        except TimeoutError as error:
            raise NoAnswerError("the controller takes nothing more") from error
        except OSError as error:
            raise ConnectionLostError(f"connection lost: {cause(error)}{self._advice()}") from error

    def _await(self, label: str, invoke: int, deadline_ns: int) -> Answer:
        while True:
            events = self._receive(label, deadline_ns)
            self._on_events(events)
            for event in events:
                if isinstance(event, Answer) and event.invoke == invoke:
                    self._answers += 1
                    return event

    def _on_events(self, events: Sequence[Answer | Samples]) -> None:
        for event in events:
            if isinstance(event, Samples):
                self._on_samples(event.values)

    def _receive(self, label: str, deadline_ns: int) -> list[Answer | Samples]:
        assert self._socket is not None
        assert self._conversation is not None
        try:
            self._socket.settimeout(_remaining_s(deadline_ns))
            data = self._socket.recv(_AT_ONCE)
        except (TimeoutError, NoAnswerError) as error:
            raise NoAnswerError(f"{label}: no answer in time{self._what_came()}") from error
        except OSError as error:
            raise ConnectionLostError(f"connection lost: {cause(error)}{self._advice()}") from error
        if not data:
            raise ConnectionLostError(f"the controller closed the connection{self._advice()}")
        return self._conversation.feed(data)

    def _what_came(self) -> str:
        conversation = self._conversation
        if conversation is None or not conversation.dropped:
            return ""
        return f"; {conversation.dropped} packets came that are for nobody, the last: {conversation.last_dropped}"

    def _advice(self) -> str:
        """What to look at, when TwinCAT hangs up without a word."""
        if self._answers or self._conversation is None:
            return ""
        own = frames.net_id_text(self._conversation.ends.own_net_id)
        return (
            f" before it answered anything: it needs a route to {own} at this computer's address (rt-engine ads "
            "add-route), and no second connection from this computer beside this one"
        )


def check_items(items: Sequence[Item], codes: Sequence[int]) -> None:
    """Raises what the first return code means; `ConnectionLostError` when handles must be got anew."""
    for item, code in zip(items, codes, strict=True):
        if code:
            raise item_failure(item, code)


def item_failure(item: Item, code: int) -> DeviceError:
    """The error that an item's return code means."""
    if code in SYMBOLS_CHANGED:
        return ConnectionLostError(f"{failure(item.label, code)}; symbols changed, connecting anew")
    return failure(item.label, code)


def _remaining_s(deadline_ns: int) -> float:
    left_ns = deadline_ns - time.monotonic_ns()
    if left_ns <= 0:
        raise NoAnswerError("no answer in time")
    return left_ns / _NS
