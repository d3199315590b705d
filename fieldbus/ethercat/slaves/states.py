"""The way of a slave from one AL state to the next: asked, looked at, told in words where it refuses.

What has to be waited for is a generator: it gives nothing, often, and whoever drives it does something else meanwhile. So many slaves
are brought up at once, and one is brought back while the others are looked after.
"""

import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from fieldbus.errors import NoAnswerError, RefusedError
from fieldbus.ethercat.protocol import AL_ERROR, AlState, Register, al_in_words, state_in_words
from fieldbus.ethercat.wire.wire import TRIES, Node, Wire

Steps = Iterator[None]
"""Work that waits: to be driven until it ends, or raises."""

WITHIN_S: Final[dict[AlState, float]] = {
    AlState.INIT: 5.0,
    AlState.PREOP: 3.0,
    AlState.SAFEOP: 10.0,
    AlState.OP: 10.0,
}
"""So long a change of state may take (the defaults of ETG.2000: back to INIT 5 s, to PRE-OP 3 s, up 10 s)."""
STATUS_BYTES: Final = 6
_ACKNOWLEDGED_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Status:
    """AL status of a slave: its state, with 0x10 where there is an error, and its code."""

    state: int
    code: int = 0

    @property
    def in_words(self) -> str:
        """`SAFE-OP with an error: its watchdog expired ... (AL status code 0x001B)`."""
        return state_in_words(self.state) + (f": {al_in_words(self.code)}" if self.state & AL_ERROR else "")

    @property
    def bare(self) -> int:
        """The state alone."""
        return self.state & 0x0F

    @property
    def has_error(self) -> bool:
        """Did it not go where it was asked, or fall back?"""
        return bool(self.state & AL_ERROR)


def status_from(data: bytes | None) -> Status | None:
    """Of the six registers from AL status on; None: nobody answers."""
    if data is None:
        return None
    state, code = struct.unpack_from("<H2xH", data)
    return Status(state & 0x1F, code)


def statuses(wire: Wire, nodes: Sequence[Node], tries: int = TRIES) -> list[Status | None]:
    """Of each slave; None: it does not answer."""
    return [status_from(data) for data in wire.read_each(nodes, Register.AL_STATUS, STATUS_BYTES, tries)]


def acknowledge(wire: Wire, node: Node, status: Status) -> Steps:
    """See to an error of before, so that a new one can be told from it; a slave that keeps it is asked all the same."""
    until_s = time.monotonic() + _ACKNOWLEDGED_S
    now: Status | None = status
    wire.write(node, Register.AL_CONTROL, struct.pack("<H", status.bare | AL_ERROR))
    while now is not None and now.has_error and time.monotonic() < until_s:
        yield
        (now,) = statuses(wire, [node])


def go(wire: Wire, node: Node, state: AlState, label: str, about: str = "") -> Steps:
    """Bring a slave to a state that is next to its own, or below it.

    Raises:
        RefusedError: it does not go there; in words, with its AL status code; `about` is what may have been the reason.
        NoAnswerError: it does not answer, or takes too long.
    """
    (before,) = statuses(wire, [node])
    if before is None:
        raise NoAnswerError(f"{label} does not answer")
    if before.state == state:
        return
    if before.has_error:
        yield from acknowledge(wire, node, before)
        before = next(iter(statuses(wire, [node]))) or before
    wire.write(node, Register.AL_CONTROL, struct.pack("<H", state))
    until_s = time.monotonic() + WITHIN_S[state]
    while True:
        (now,) = statuses(wire, [node])
        if now is None:
            raise NoAnswerError(f"{label} does not answer on its way to {state_in_words(state)}")
        if now.state == state:
            return
        if now.has_error and now != before:
            why = f"; {about}" if about else ""
            way = f"{state_in_words(before.bare)} -> {state_in_words(state)}"
            raise RefusedError(f"{label} refuses {way}: {al_in_words(now.code)}{why}", now.code)
        if time.monotonic() > until_s:
            raise NoAnswerError(
                f"{label} does not reach {state_in_words(state)} in {WITHIN_S[state]:g} s, it is in {now.in_words}"
            )
        yield


def drive(work: Sequence[Steps], pause_s: float = 0.0005) -> None:
    """Drive all to their ends, in turns; raises what one raises."""
    left = list(work)
    while left:
        left = [one for one in left if next(one, StopIteration) is not StopIteration]
        if left:
            time.sleep(pause_s)
