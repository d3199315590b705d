"""PDO entries: places, types, names; through CoE as ETG.1000.6 clause 5.6.7.4 has it."""

import re
import struct
from types import SimpleNamespace

import pytest

from fieldbus.errors import GarbageError
from fieldbus.ethercat.slaves.entries import found_by_sii, known_by, place_of, read_assigned, read_identity
from fieldbus.ethercat.slaves.sii import parse_sii
from fieldbus.tags import Tag
from tests.fieldbus.ethercat import sii_images as images


class AbortError(Exception):
    """As pysoem's `SdoError` has it."""

    def __init__(self, code):
        super().__init__(hex(code))
        self.abort_code = code


class Objects:
    """An object dictionary that can be read as pysoem's slaves can: (index, subindex) -> (value, bytes), or an abort code."""

    def __init__(self, values, missing=0x06020000):
        self.values, self.missing = values, missing

    def sdo_read(self, index, subindex):
        value = self.values.get((index, subindex))
        if value is None:
            raise AbortError(self.missing)
        if isinstance(value, Exception):
            raise value
        return value


def listed(index, size, *values):
    """An object with its count and values."""
    return {(index, 0): bytes([len(values)]), **{(index, i + 1): struct.pack(size, v) for i, v in enumerate(values)}}


MAPPED = {
    **listed(0x1C00, "<B", 1, 2, 3, 4),
    **listed(0x1C12, "<H", 0x1601),
    **listed(0x1C13, "<H", 0x1A00, 0x1A02),
    **listed(0x1601, "<I", 0x60400010, 0x60FF0020),
    **listed(0x1A00, "<I", 0x60410010, 0x00000008, 0x60610008),
    **listed(0x1A02, "<I", 0x60640020),
}


def test_entries_by_eeprom():
    """Four channels with one name are four names; a bit after the other."""
    slave = found_by_sii(3, parse_sii(images.digital()))
    assert (slave.position, slave.name, slave.title) == (3, "EL2004", "EL2004 4Ch. Dig. Output 24V, 0.5A")
    assert [e.name for e in slave.entries] == [f"Channel_{i}_Output" for i in (1, 2, 3, 4)]
    assert [(e.direction, e.type, e.bits, e.bit_offset) for e in slave.entries] == [
        ("out", "bool", 1, i) for i in range(4)
    ]
    assert slave.nbytes("out") == 1
    assert slave.nbytes("in") == 0


def test_offsets_types_and_gaps():
    """A gap moves what follows; two bits are two bools; a text is refused and says why; what is not assigned is not there."""
    slave = found_by_sii(0, parse_sii(images.drive()))
    rows = [(e.place, e.direction, e.bit_offset, e.type, e.count) for e in slave.entries]
    assert rows == [
        ("0x6040:00", "out", 0, "uint16", 1), ("0x607A:00", "out", 16, "int32", 1),
        ("0x6041:00", "in", 0, "uint16", 1), ("0x2000:01", "in", 16, "bool", 1), ("0x2000:02", "in", 17, "bool", 2),
        ("0x0000:00", "in", 19, "", 1), ("0x6064:00", "in", 24, "int32", 1), ("0x2001:00", "in", 56, "", 1),
    ]  # fmt: skip
    assert slave.entries[-1].refusal == "STRING of 64 bits is no number"
    assert (slave.nbytes("out"), slave.nbytes("in")) == (6, 15)


def test_names_are_unique_and_can_be_names_of_tags():
    """Of two flags each has its place in its name; what has no name is called by its place; a tag can be called so."""
    names = [e.name for e in found_by_sii(0, parse_sii(images.drive())).entries if not e.is_gap]
    assert names == [
        "Controlword",
        "Target_position",
        "Statusword",
        "Inputs_Flag_2000_01",
        "Inputs_Flag_2000_02",
        "x6064_00",
        "Text",
    ]
    for name in names:
        assert re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name)
        Tag(name, "bool", "in")


def test_one_value_mapped_twice_has_two_names():
    """Nothing tells the two apart but their order."""
    pdo = images.pdo(0x1A00, 3, 0, (0x6041, 0, 0, 6, 16), (0x6041, 0, 0, 6, 16))
    slave = found_by_sii(0, parse_sii(images.image((50, pdo))))
    assert [e.name for e in slave.entries] == ["x6041_00_6041_00", "x6041_00_6041_00_2"]


def test_each_sync_manager_begins_at_a_byte():
    """Three bits at one, a byte at the next: the byte does not begin within a byte."""
    pdos = images.pdo(0x1A00, 2, 0, (0x6000, 1, 0, 1, 1), (0x6000, 2, 0, 1, 1)) + images.pdo(
        0x1A01, 3, 0, (0x6010, 1, 0, 5, 8)
    )
    slave = found_by_sii(0, parse_sii(images.image((50, pdos))))
    assert [e.bit_offset for e in slave.entries] == [0, 1, 8]


def test_a_number_that_begins_within_a_byte_is_refused():
    """No tag has it: its neighbours would be torn."""
    pdo = images.pdo(0x1A00, 3, 0, (0x6000, 1, 0, 1, 1), (0x6000, 2, 0, 6, 16))
    entry = found_by_sii(0, parse_sii(images.image((50, pdo)))).entries[1]
    assert (entry.type, entry.refusal) == ("", "its 16 bits begin within a byte")


@pytest.mark.parametrize(
    ("data_type", "bits", "expected"),
    [(1, 1, "bool"), (2, 8, "int8"), (3, 16, "int16"), (4, 32, "int32"), (0x15, 64, "int64"), (5, 8, "uint8"), (6, 16, "uint16"),
     (7, 32, "uint32"), (0x1B, 64, "uint64"), (8, 32, "float32"), (0x11, 64, "float64"), (0x1F, 16, "uint16"), (0x37, 8, "uint8"),
     (0x32, 3, "bool"), (0, 1, "bool"), (0, 8, "uint8"), (0, 16, "uint16"), (0, 32, "uint32"), (0, 64, "uint64"), (0, 24, ""),
     (0x10, 24, ""), (4, 16, "uint16"), (0x99, 16, "uint16"), (9, 8, ""), (0x0A, 8, "")],
)  # fmt: skip
def test_types(data_type, bits, expected):
    """Each data type of ETG.1000.6 is a tag's type or none; where bits and type differ the bits are right."""
    entry = found_by_sii(
        0, parse_sii(images.image((50, images.pdo(0x1A00, 3, 0, (0x6000, 1, 0, data_type, bits)))))
    ).entries[0]
    assert entry.type == expected
    assert bool(entry.refusal) == (not expected)


def test_what_coe_says_counts():
    """PDOs of 0x1C12 and 0x1C13, not those of the EEPROM; names and types of what the EEPROM knows."""
    sii = parse_sii(images.drive())
    slave = found_by_sii(0, sii, read_assigned(Objects(MAPPED), sii))
    rows = [(e.pdo, e.place, e.direction, e.bit_offset, e.type, e.name) for e in slave.entries]
    assert rows == [
        (0x1601, "0x6040:00", "out", 0, "uint16", "Controlword"), (0x1601, "0x60FF:00", "out", 16, "uint32", "x60FF_00"),
        (0x1A00, "0x6041:00", "in", 0, "uint16", "Statusword"), (0x1A00, "0x0000:00", "in", 16, "", ""),
        (0x1A00, "0x6061:00", "in", 24, "uint8", "x6061_00"), (0x1A02, "0x6064:00", "in", 32, "int32", "x6064_00"),
    ]  # fmt: skip


@pytest.mark.parametrize("missing", [0x06020000, 0x06090011, 0x06010001 - 0x100000000])
def test_a_slave_that_does_not_say(missing):
    """Without 0x1C12 and 0x1C13 the EEPROM counts."""
    assert read_assigned(Objects({}, missing), parse_sii(images.drive())) is None


def test_sync_managers_of_the_eeprom_where_coe_has_none():
    """Without 0x1C00 the purposes of the EEPROM count."""
    values = {key: value for key, value in MAPPED.items() if key[0] != 0x1C00}
    assigned = read_assigned(Objects(values), parse_sii(images.drive()))
    assert [(pdo.index, pdo.sync_manager) for pdo in assigned] == [(0x1601, 2), (0x1A00, 3), (0x1A02, 3)]


def test_nothing_assigned_is_nothing():
    """A slave whose lists are empty exchanges nothing, whatever its EEPROM says."""
    values = {**listed(0x1C00, "<B", 1, 2, 3, 4), (0x1C12, 0): b"\0", (0x1C13, 0): b"\0"}
    sii = parse_sii(images.drive())
    assert found_by_sii(0, sii, read_assigned(Objects(values), sii)).entries == ()


@pytest.mark.parametrize("gone", [(0x1C13, 2), (0x1A00, 3)])
def test_a_list_that_is_shorter_than_it_says(gone):
    """It is not guessed at."""
    values = {key: value for key, value in MAPPED.items() if key != gone}
    with pytest.raises(GarbageError, match=f"0x{gone[0]:04X} is said to have"):
        read_assigned(Objects(values), parse_sii(images.drive()))


def test_a_failure_is_no_missing_object():
    """A mailbox that is silent, or an abort for another reason, is the reader's error."""
    for error in (TimeoutError(), AbortError(0x05040000)):
        with pytest.raises(type(error)):
            read_assigned(Objects({**MAPPED, (0x1C13, 0): error}), parse_sii(images.drive()))


def test_identity_by_coe():
    """0x1018; what is missing is None."""
    assert read_identity(Objects(listed(0x1018, "<I", 2, 3, 4))) == (2, 3, 4, None)


def test_names_by_the_dictionary():
    """Only wanted objects are asked for; an object's name, with its entry's behind it."""

    class Refusing:
        index = 0x3000

        @property
        def name(self):
            raise AssertionError("not asked for")

    def thing(index, name, data_type, *entries):
        rows = [SimpleNamespace(name=label, data_type=kind) for label, kind in entries]
        return SimpleNamespace(index=index, name=name, data_type=data_type, entries=rows)

    sii = parse_sii(images.drive())
    assigned = read_assigned(Objects(MAPPED), sii)
    plain = found_by_sii(0, sii, assigned)
    dictionary = [
        Refusing(), thing(0x60FF, b"Target velocity", 4), thing(0x1A02, b"Third", 0x21),
        thing(0x6061, b"Modes", 0, (b"SubIndex 000", 5), (b"display", 2)),
    ]  # fmt: skip
    slave = found_by_sii(0, sii, assigned, known_by(dictionary, plain.entries))
    assert [(e.name, e.type) for e in slave.entries if e.index in (0x60FF, 0x6061)] == [
        ("Target_velocity", "int32"), ("Modes_SubIndex_000", "uint8"),
    ]  # fmt: skip
    assert slave.entry("x6064_00").label == "Third"


def test_a_dictionary_that_refuses():
    """What is refused is left out; after three refusals nothing more is asked: each takes as long as a mailbox is waited for."""
    asked = []

    class Refusing:
        def __init__(self, index):
            self.index = index

        @property
        def name(self):
            asked.append(self.index)
            raise AbortError(0x08000023)

    wanted = found_by_sii(0, parse_sii(images.drive())).entries
    good = SimpleNamespace(index=0x6040, name=b"Controlword", data_type=6, entries=[])
    assert known_by([Refusing(0x607A), good], wanted)[0x6040, 0] == ("Controlword", 6)
    assert known_by([Refusing(index) for index in (0x6041, 0x607A, 0x6064, 0x2001, 0x2000)], wanted) == {}
    assert asked == [0x607A, 0x6041, 0x607A, 0x6064]


def test_a_list_that_is_too_long():
    """A count is a byte; one of a thousand million is none."""
    with pytest.raises(GarbageError, match="255 are the most"):
        read_assigned(Objects({**MAPPED, (0x1C12, 0): b"\xff\xff\xff\x3f"}), parse_sii(images.drive()))


def test_an_entry_is_found_by_name_or_place():
    """In whichever letters; a gap is nobody's."""
    slave = found_by_sii(0, parse_sii(images.drive()))
    assert slave.entry("0x607a:00") is slave.entry("Target_position") is slave.entry("0x607A:0")
    assert slave.entry("0x0000:00") is None
    assert slave.entry("Nothing") is None
    assert place_of("0x6041:1F") == (0x6041, 0x1F)
    assert place_of("0x6041") is place_of("6041:00") is None
