"""State between calls: of models that carry some, by `sequence_id`, as Triton's clients name it.

A call with a sequence goes on where its last one ended; `sequence_start` begins at the initial state, `sequence_end` forgets it. A
connection has no state: clients and proxies share and change them as they like. A call without a sequence begins at the initial state.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from plc_bindings.http.errors import Refusal
from plc_bindings.http.question import Turn

MOST: Final = 1000
"""Sequences of one server."""
MOST_OF_ONE: Final = MOST // 2
"""Of who asks: nobody can take all."""
MOST_BYTES: Final = 64 << 20
"""Of all their states."""
REST_S: Final = 600.0
"""One that was not used for so long is forgotten."""

Key = tuple[int, str, int | str]
"""(number of the model, whose, id)"""
State = Mapping[str, Any]


@dataclass(slots=True)
class _Kept:
    state: State | None
    used_s: float
    is_busy: bool = True

    @property
    def nbytes(self) -> int:
        """Of its state."""
        return sum(array.nbytes for array in self.state.values()) if self.state else 0


class Sequences:
    """Those of one server. Its thread only."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._kept: dict[Key, _Kept] = {}
        self._now, self._bytes = now, 0

    def __len__(self) -> int:
        return len(self._kept)

    def begin(self, key: Key, turn: Turn) -> State | None:
        """The state that a call goes on with; None: the initial one. Then `end` it.

        Raises:
            Refusal: there is no such sequence; there are too many; another call of it is under way.
        """
        kept = self._kept.get(key)
        if kept is not None and kept.is_busy:
            raise Refusal(409, f"sequence {turn.id!r}: another call of it is under way")
        if turn.starts:
            if kept is None:
                self._make_room(key[1])
            self._put(key, _Kept(None, self._now()))
            return None
        if kept is None or self._now() - kept.used_s > REST_S:
            self._put(key, None)
            raise Refusal(400, f"sequence {turn.id!r}: there is none, or it was forgotten; begin with sequence_start")
        kept.is_busy = True
        return kept.state

    def end(self, key: Key, turn: Turn, state: State | None) -> None:
        """A call is done, with this state; None: it failed, and the sequence is forgotten."""
        is_over = state is None or turn.ends
        self._put(key, None if is_over else _Kept(state, self._now(), is_busy=False))

    def _put(self, key: Key, kept: _Kept | None) -> None:
        """A sequence is so now; None: it is forgotten."""
        old = self._kept.pop(key, None)
        self._bytes -= old.nbytes if old is not None else 0
        if kept is not None:
            self._kept[key] = kept
            self._bytes += kept.nbytes

    def _make_room(self, whose: str) -> None:
        if len(self._kept) < MOST_OF_ONE and self._bytes < MOST_BYTES:
            return
        until = self._now() - REST_S
        for key in [key for key, one in self._kept.items() if not one.is_busy and one.used_s < until]:
            self._put(key, None)
        if sum(key[1] == whose for key in self._kept) >= MOST_OF_ONE:
            raise Refusal(503, f"{MOST_OF_ONE:,} sequences of yours are under way: end some, with sequence_end")
        if len(self._kept) >= MOST or self._bytes >= MOST_BYTES:
            raise Refusal(503, f"{len(self._kept):,} sequences are under way: end some, with sequence_end")
