"""Process data of a slave with CoE: which PDOs are assigned, what is mapped in them, where in the image each entry lies.

Objects 0x1C12 and 0x1C13 assign, 0x1600.. and 0x1A00.. map (ETG.1000.6, 5.6.7.4; ETG.1020, 6): index 16 bits, subindex 8, length 8.
Both change in PREOP only, and only while their subindex 0 is 0; a PDO is mapped anew only while it is assigned to nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fieldbus.ethercat.simulated.objects import (
    Abort,
    AbortCode,
    Access,
    Dictionary,
    Entry,
    Object,
    Type,
    changeable,
)  # fmt: skip
from fieldbus.ethercat.simulated.sii import SiiEntry, SiiPdo

OUTPUTS, INPUTS = 0x1C12, 0x1C13
"""The assignment objects of sync managers 2 and 3."""
_RX, _TX = 0x1600, 0x1A00
_MOST_ENTRIES = 16


@dataclass(frozen=True, slots=True)
class Placed:
    """An entry in an image; index 0, a gap, has no `entry`."""

    index: int
    subindex: int
    bit: int
    bits: int
    entry: Entry | None


@dataclass(frozen=True, slots=True)
class PdoMap:
    """A PDO as the device comes: its entries as (index, subindex), a number: a gap of so many bits."""

    index: int
    name: str
    entries: tuple[tuple[int, int] | int, ...]
    is_assigned: bool = True
    is_fixed: bool = True


def mapping(index: int, subindex: int, bits: int) -> int:
    """An entry of a mapping object."""
    return index << 16 | subindex << 8 | bits


class ProcessData:
    """The assignment of one slave; `most_bytes` is what each of its two sync managers can have."""

    def __init__(self, dictionary: Dictionary, maps: Sequence[PdoMap], most_bytes: int = 256) -> None:
        self.dictionary, self.maps, self.most_bytes = dictionary, tuple(maps), most_bytes
        for pdo in maps:
            self._add_mapping(pdo)
        for assignment in (OUTPUTS, INPUTS):
            self._add_assignment(assignment)

    def reset(self) -> None:
        """As the device comes from the factory: what power does to assignments that nobody stored."""
        for pdo in self.maps:
            self._set(pdo.index, [self._word(entry) for entry in pdo.entries])
        for assignment in (OUTPUTS, INPUTS):
            self._set(assignment, [pdo.index for pdo in self._of(assignment) if pdo.is_assigned])

    def placed(self, assignment: int) -> list[Placed]:
        """Every entry of the assigned PDOs, in order."""
        found, bit = [], 0
        for pdo in self._list(assignment):
            for word in self._list(pdo):
                index, subindex, bits = word >> 16 & 0xFFFF, word >> 8 & 0xFF, word & 0xFF
                entry = self.dictionary.objects[index].entries[subindex] if index else None
                found.append(Placed(index, subindex, bit, bits, entry))
                bit += bits
        return found

    def nbytes(self, assignment: int) -> int:
        """Length of the image."""
        return -(-sum(word & 0xFF for pdo in self._list(assignment) for word in self._list(pdo)) // 8)

    def sii_pdos(self, assignment: int, manager: int) -> tuple[SiiPdo, ...]:
        """The PDOs as the EEPROM tells them; those that are not assigned have sync manager 0xFF."""
        return tuple(
            SiiPdo(pdo.index, pdo.name, tuple(map(self._sii_entry, pdo.entries)), manager if pdo.is_assigned else 0xFF)
            for pdo in self._of(assignment)
        )

    # --- objects ------------------------------------------------------------------------------------------------------

    def _of(self, assignment: int) -> list[PdoMap]:
        first = _RX if assignment == OUTPUTS else _TX
        return [pdo for pdo in self.maps if first <= pdo.index < first + 0x200]

    def _add_mapping(self, pdo: PdoMap) -> None:
        most = len(pdo.entries) if pdo.is_fixed else _MOST_ENTRIES
        access = Access.RO if pdo.is_fixed else Access.RW_PREOP
        item = changeable(pdo.index, pdo.name, Type.UINT32, most, access)
        right = Access.RX if pdo.index < _TX else Access.TX
        guard = self._guarded(item, lambda word: self._check_mapped(word, right), lambda word: word & 0xFF)
        item.check = self._free(pdo.index, guard)
        self.dictionary.add(item)
        self._set(pdo.index, [self._word(entry) for entry in pdo.entries])

    def _add_assignment(self, assignment: int) -> None:
        known = self._of(assignment)
        name = "RxPDO assign" if assignment == OUTPUTS else "TxPDO assign"
        item = changeable(assignment, name, Type.UINT16, max(len(known), 1), Access.RW_PREOP)
        item.check = self._guarded(item, lambda index: self._check_assigned(index, assignment), self._bits_of)
        self.dictionary.add(item)
        self._set(assignment, [pdo.index for pdo in known if pdo.is_assigned])

    def _guarded(
        self, item: Object, check: Callable[[int], None], bits: Callable[[int], int]
    ) -> Callable[[int, int], None]:
        """Each word is checked; setting how many there are checks that they fit."""

        def guard(subindex: int, value: int) -> None:
            if subindex:
                check(value)
                return
            words = [self.dictionary.number(item.index, s) for s in range(1, value + 1)]
            for word in words:
                check(word)
            if sum(map(bits, words)) > 8 * self.most_bytes:
                raise Abort(AbortCode.PDO_TOO_LONG)

        return guard

    def _free(self, pdo: int, check: Callable[[int, int], None]) -> Callable[[int, int], None]:
        """A PDO that is assigned cannot be mapped anew."""

        def guard(subindex: int, value: int) -> None:
            if pdo in self._list(OUTPUTS if pdo < _TX else INPUTS):
                raise Abort(AbortCode.WRONG_STATE)
            check(subindex, value)

        return guard

    def _check_mapped(self, word: int, right: Access) -> None:
        index, subindex, bits = word >> 16 & 0xFFFF, word >> 8 & 0xFF, word & 0xFF
        if index == 0:
            return
        _, entry = self.dictionary.find(index, subindex)
        if not entry.access & right:
            raise Abort(AbortCode.NOT_MAPPABLE)
        if bits != entry.bits:
            raise Abort(AbortCode.LENGTH)

    def _check_assigned(self, index: int, assignment: int) -> None:
        if index not in [pdo.index for pdo in self._of(assignment)]:
            raise Abort(AbortCode.NOT_MAPPABLE)

    # --- lists --------------------------------------------------------------------------------------------------------

    def _list(self, index: int) -> list[int]:
        number = self.dictionary.number
        return [number(index, subindex) for subindex in range(1, number(index) + 1)]

    def _set(self, index: int, words: Sequence[int]) -> None:
        for subindex, word in enumerate(words, 1):
            self.dictionary.set_number(index, word, subindex)
        self.dictionary.set_number(index, len(words))

    def _bits_of(self, pdo: int) -> int:
        return sum(word & 0xFF for word in self._list(pdo))

    def _word(self, entry: tuple[int, int] | int) -> int:
        if isinstance(entry, int):
            return mapping(0, 0, entry)
        return mapping(*entry, self.dictionary.objects[entry[0]].entries[entry[1]].bits)

    def _sii_entry(self, entry: tuple[int, int] | int) -> SiiEntry:
        if isinstance(entry, int):
            return SiiEntry(0, 0, "", 0, entry)
        found = self.dictionary.objects[entry[0]].entries[entry[1]]
        return SiiEntry(*entry, found.name, found.type, found.bits)
