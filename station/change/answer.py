"""What somebody who wants a change says, and what they are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from rt_engine.change import ChangeState
from station.change.machine import Span

NONE: Final = "none"
"""How a command line says that a shadow, or a trial, is left out."""


@dataclass(frozen=True, slots=True)
class Updated:
    """What an update gives back that was not refused: the words for a person, the version number that the new model has or
    would have, and the state in which the change is now."""

    message: str
    version: int
    state: ChangeState = ChangeState.COMMITTED


@dataclass(frozen=True, slots=True)
class Wish:
    """What an update asks for besides the files; None: as the station file says. `Span()` leaves shadow or trial out.

    `signature`: of its only file; a key of the station must have made it. Empty: none is needed.
    """

    shadow: Span | None = None
    trial: Span | None = None
    commit: Literal["auto", "manual"] | None = None
    signature: bytes = b""
