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


class Sequences:
    """Those of one server. Its thread only."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._kept: dict[Key, _Kept] = {}
        self._now = now

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
                self._make_room()
            self._kept[key] = _Kept(None, self._now())
            return None
        if kept is None or self._now() - kept.used_s > REST_S:
            self._kept.pop(key, None)
            raise Refusal(400, f"sequence {turn.id!r}: there is none, or it was forgotten; begin with sequence_start")
        kept.is_busy = True
        return kept.state

    def end(self, key: Key, turn: Turn, state: State | None) -> None:
        """A call is done, with this state; None: it failed, and the sequence is forgotten."""
        if state is None or turn.ends:
            self._kept.pop(key, None)
        else:
            self._kept[key] = _Kept(state, self._now(), is_busy=False)

    def _make_room(self) -> None:
        if len(self._kept) < MOST:
            return
        until = self._now() - REST_S
        self._kept = {key: one for key, one in self._kept.items() if one.is_busy or one.used_s >= until}
        if len(self._kept) >= MOST:
            raise Refusal(503, f"{MOST:,} sequences are under way: end some, with sequence_end")
