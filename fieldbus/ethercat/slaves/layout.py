"""What a slave exchanges -> the sync managers and FMMUs that carry it. Pure.

    logical   | outputs of slave 1      |         | outputs of slave 2 |       each slave has one range of whole bytes,
              | inputs of slave 1 ...................| inputs of slave 2 ... |     in which outputs and inputs overlap
    FMMU      logical range -> the memory behind a sync manager
    sync manager   start, length, control: three buffers, so that neither side waits for the other

Beckhoff's ESC data sheet, section II, chapters 2.7 (FMMU) and 2.8 (sync managers); ETG.1000.4, clause 6.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from fieldbus.errors import RefusedError
from fieldbus.ethercat.slaves.entries import PdoEntry
from fieldbus.ethercat.slaves.sii import SyncManager

MOST_PROCESS_BYTES: Final = 1486
"""Of one slave in one datagram, alone in its frame."""
DOES_NOT_FIT: Final = -2
"""`RefusedError.code` of a mapping that cannot be."""
MOST_MANAGERS: Final = 16
"""Of an ESC; behind their registers are those of the clock."""
_FIRST_BYTE: Final = 0x0F00
"""Process data lie from here on: outputs of digital terminals without a processor; memory begins at 0x1000."""
_BUFFERS: Final = 3
_MODE, _BUFFERED = 0x03, 0x00
_READ, _WRITE = 1, 2


@dataclass(frozen=True, slots=True)
class Window:
    """A sync manager as it is programmed; one without a length is off."""

    number: int
    start: int
    length: int
    control: int
    is_output: bool

    @property
    def register(self) -> bytes:
        """Its eight registers."""
        return struct.pack("<HHBBBB", self.start, self.length, self.control, 0, self.length > 0, 0)


@dataclass(frozen=True, slots=True)
class Fmmu:
    """So many bytes from a logical address on are those from a physical one on."""

    logical: int
    length: int
    physical: int
    is_output: bool

    @property
    def register(self) -> bytes:
        """Its sixteen registers."""
        kind = _WRITE if self.is_output else _READ
        return struct.pack("<IHBBHBBB3x", self.logical, self.length, 0, 7, self.physical, 0, kind, 1)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a slave's process data lie: `out_bytes` and `in_bytes` from the logical address `logical` on."""

    logical: int
    out_bytes: int
    in_bytes: int
    windows: tuple[Window, ...]
    fmmus: tuple[Fmmu, ...]

    @property
    def nbytes(self) -> int:
        """Of its range."""
        return max(self.out_bytes, self.in_bytes)

    @property
    def in_words(self) -> str:
        """`6 bytes of outputs (sync manager 2), 8 of inputs (sync manager 3)`."""
        parts = []
        for is_output, nbytes in ((True, self.out_bytes), (False, self.in_bytes)):
            numbers = ", ".join(str(w.number) for w in self.windows if w.is_output == is_output and w.length)
            whose = "outputs" if is_output else "inputs"
            parts.append(f"{nbytes} bytes of {whose}" + (f" (sync manager {numbers})" if numbers else ""))
        return ", ".join(parts)


def lay_out(entries: Sequence[PdoEntry], managers: Sequence[SyncManager], logical: int, fmmus: int) -> Layout:
    """The layout of a slave with these entries, and these sync managers in its EEPROM.

    Raises:
        RefusedError: it does not fit; with both sizes.
    """
    windows = [w for d in ("out", "in") for w in _windows(entries, managers, d)]
    maps, sizes = list[Fmmu](), {True: 0, False: 0}
    for is_output in (True, False):
        for window in sorted((w for w in windows if w.is_output == is_output and w.length), key=lambda w: w.number):
            last = maps[-1] if maps and maps[-1].is_output == is_output else None
            if last and last.physical + last.length == window.start:
                maps[-1] = Fmmu(last.logical, last.length + window.length, last.physical, is_output)
            else:
                maps.append(Fmmu(logical + sizes[is_output], window.length, window.start, is_output))
            sizes[is_output] += window.length
    layout = Layout(logical, sizes[True], sizes[False], tuple(sorted(windows, key=lambda w: w.number)), tuple(maps))
    if layout.nbytes > MOST_PROCESS_BYTES:
        raise _does_not_fit(f"it exchanges {layout.in_words}, and a datagram holds {MOST_PROCESS_BYTES}")
    if len(maps) > fmmus:
        raise _does_not_fit(f"its memory lies in {len(maps)} pieces, and it has {fmmus} FMMUs")
    return layout


def _windows(
    entries: Sequence[PdoEntry], managers: Sequence[SyncManager], direction: Literal["in", "out"]
) -> list[Window]:
    """Every sync manager for process data of this direction."""
    is_output = direction == "out"
    found = []
    for number in sorted({e.sync_manager for e in entries if e.direction == direction}):
        mine = [e for e in entries if e.direction == direction and e.sync_manager == number]
        bits = max(e.bit_offset + e.bits for e in mine) - min(e.bit_offset for e in mine)
        if number >= len(managers) or not managers[number].start:
            what = f"{(bits + 7) // 8} bytes of {direction}puts are for sync manager {number}"
            raise _does_not_fit(f"{what}, and its EEPROM has {len(managers)} sync managers without that one")
        manager = managers[number]
        if number >= MOST_MANAGERS or manager.start < _FIRST_BYTE:
            raise _does_not_fit(
                f"its EEPROM has sync manager {number} at 0x{manager.start:04X}; there are {MOST_MANAGERS}, and below "
                f"0x{_FIRST_BYTE:04X} are registers"
            )
        window = Window(number, manager.start, (bits + 7) // 8, manager.control, is_output)
        _check_room(window, managers)
        found.append(window)
    return found


def _check_room(window: Window, managers: Sequence[SyncManager]) -> None:
    """A buffered sync manager has three buffers, one after the other, and then others begin."""
    behind = [m.start for m in managers if m.start > window.start]
    if not behind or (window.control & _MODE) != _BUFFERED:
        return
    room = min(behind) - window.start
    if window.length * _BUFFERS > room >= _BUFFERS * 2:
        what = "outputs" if window.is_output else "inputs"
        raise _does_not_fit(
            f"{window.length} bytes of {what} for sync manager {window.number}, which has room for {room // _BUFFERS}"
        )


def _does_not_fit(text: str) -> RefusedError:
    return RefusedError(f"the mapping does not fit: {text}", DOES_NOT_FIT)
