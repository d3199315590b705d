"""What PLC clients see of a station's recorder, and how they make it keep what lies around now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from plc_bindings.data.record import Record, text
from plc_bindings.data.types import UDINT, UINT, ULINT, Field, String, Struct, counted, in_words

_STATES: Final = counted("waits for a trigger", "writes", "cannot write")
RECORDER: Final = Struct(
    "ST_RtRecorder",
    (
        Field("State", UINT, comment=in_words(_STATES), names=_STATES),
        Field("Record", UINT, comment="write 1: what lies before and after now is kept"),
        Field("Triggers", UDINT, comment="since the start"),
        Field("Files", UDINT, comment="in its folder"),
        Field("Bytes", ULINT, comment="of these files"),
        Field("Quota", ULINT, comment="bytes that they may have"),
        Field("Dropped", ULINT, comment="cycles for which there was no room in memory"),
        Field("Lost", ULINT, comment="cycles that the disk did not take"),
        Field("Newest", String(127), comment="name of the newest file"),
        Field("LastError", String(127), comment="why it cannot write; empty: it can"),
    ),
)
_MOST_UDINT: Final = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class RecorderNumbers:
    """A recorder at one moment; see `RECORDER`."""

    state: int = 0
    triggers: int = 0
    files: int = 0
    nbytes: int = 0
    quota: int = 0
    dropped: int = 0
    lost: int = 0
    newest: str = ""
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class RecorderShown:
    """What the area needs. `record` returns at once."""

    numbers: Callable[[], RecorderNumbers] = RecorderNumbers
    record: Callable[[], object] = lambda: None


class RecorderArea(Record):
    """The recorder."""

    def __init__(self, shown: RecorderShown) -> None:
        super().__init__("Recorder", RECORDER, "Record")
        self._shown = shown

    def values(self) -> Sequence[Any]:
        """See `RECORDER`."""
        n = self._shown.numbers()
        counts = (min(n.triggers, _MOST_UDINT), min(n.files, _MOST_UDINT), n.nbytes, n.quota, n.dropped, n.lost)
        return (n.state, 0, *counts, text(n.newest, 127), text(n.trouble, 127))

    def write(self, data: bytes, changed: Sequence[tuple[int, int]]) -> None:
        """Another number than 0 in Record is a trigger."""
        at = RECORDER.offsets["Record"]
        if any(data[at : at + UINT.size]):
            self._shown.record()
