"""Files that are broken, by accident or on purpose: a status that says why, never a crash. All under the sanitizers."""

import struct
from dataclasses import replace

import numpy as np
import pytest

from rt_engine.errors import ProgramFileError
from rt_engine.program.rtp_file import read
from rt_engine.program.rtp_writer import to_bytes
from tests.plc_bindings.c.toolchain import run
from tests.plc_bindings.c.writer import (
    ELEMENTS,
    ENTRY,
    HEADER,
    INITIAL,
    KERNELS,
    NODES,
    RECORDS,
    SHAPES,
    STRINGS,
    TENSORS,
    WEIGHTS,
    patched,
    rtp,
    sealed,
    section,
)

pytestmark = pytest.mark.peer("gcc")

NOT_A_PROGRAM, OTHER_VERSION, DAMAGED, MISSING_KERNEL = 301, 302, 303, 304


@pytest.fixture
def verdicts(checked, tmp_path):
    """Loads each of some files; gives (status, why) of each."""
    program = checked.program("hostile.c")

    def judge(contents):
        paths = []
        for number, content in enumerate(contents):
            paths.append(tmp_path / f"{number}.rtp")
            paths[-1].write_bytes(content)
        lines = run(program, *paths).stdout.splitlines()
        assert len(lines) == len(contents)
        return [(int(line.split()[0]), " ".join(line.split()[2:])) for line in lines]

    return judge


def test_every_bit_counts(files, verdicts):
    """A file with one bit changed, anywhere, is refused."""
    good, rng = files["mlp"][1].read_bytes(), np.random.default_rng(0)
    places = [*range(HEADER), *rng.integers(HEADER, len(good), 300)]
    changed = [_flipped(good, place, int(rng.integers(8))) for place in places]
    statuses = [status for status, _ in verdicts(changed)]
    assert set(statuses) == {NOT_A_PROGRAM, OTHER_VERSION, DAMAGED}
    assert verdicts([good]) == [(0, "")]


def _flipped(data, place, bit):
    return data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]


def test_every_byte_counts(files, verdicts):
    """A file that is shorter or longer than it says is refused, and so is one that is none."""
    good = files["mlp"][1].read_bytes()
    lengths = [*range(0, 500, 7), *range(500, len(good), 997), len(good) - 1]
    assert {status for status, _ in verdicts([good[:n] for n in lengths])} == {NOT_A_PROGRAM, DAMAGED}
    assert verdicts([good + b"\0", b"", b"onnx" * 100])[0][0] == DAMAGED
    assert [status for status, _ in verdicts([b"", b"onnx" * 100, good[1:]])] == [NOT_A_PROGRAM] * 3


def _u32(value):
    return struct.pack("<I", value)


def _u64(value):
    return struct.pack("<Q", value)


def _entry(kind):
    return HEADER + ENTRY * kind


# What is changed: model, section (None: the file), byte in it, new bytes, status, words of the reason.
HOSTILE = {
    "format": ("mlp", None, 8, _u32(2), OTHER_VERSION, "reads 1: compile the model again, or take"),
    "kernel ABI": ("mlp", None, 24, _u32(9), OTHER_VERSION, "version 9"),
    "record size": ("mlp", None, 28, _u32(191), OTHER_VERSION, "kernels"),
    "no arena": ("mlp", None, 32, _u64(0), DAMAGED, "context of 0 bytes"),
    "endless arena": ("mlp", None, 32, _u64(1 << 62), DAMAGED, "context of"),
    "arena without room": ("mlp", None, 32, _u64(64), DAMAGED, "tensor 'x'"),
    "more inputs": ("mlp", None, 40, _u32(2), DAMAGED, "2 inputs"),
    "inputs that wrap around": ("mlp", None, 40, _u32(0xFFFFFFFF), DAMAGED, "4294967295 inputs"),
    "sections": ("mlp", None, 52, _u32(0xFFFFFFFF), DAMAGED, "sections"),
    "kind": ("mlp", None, _entry(RECORDS), _u32(1), DAMAGED, "section 2"),
    "count": ("mlp", None, _entry(RECORDS) + 4, _u32(0xFFFFFFFF), DAMAGED, "section 2"),
    "offset unaligned": ("mlp", None, _entry(WEIGHTS) + 8, _u64(65), DAMAGED, "section 3"),
    "offset outside": ("mlp", None, _entry(WEIGHTS) + 8, _u64(1 << 63), DAMAGED, "section 3"),
    "bytes that wrap around": ("mlp", None, _entry(WEIGHTS) + 16, _u64((1 << 64) - 64), DAMAGED, "section 3"),
    "strings begin": ("mlp", STRINGS, 0, b"x", DAMAGED, "strings"),
    "kernel text": ("mlp", KERNELS, 0, _u32(0xFFFFFFFF), DAMAGED, "kernel 0"),
    "kernel name": (
        "mlp",
        STRINGS,
        1,
        b"~",
        MISSING_KERNEL,
        "which this library does not have: export it with this model",
    ),
    "tensor name": ("mlp", TENSORS, 0, _u32(1 << 31), DAMAGED, "a tensor's name or axes"),
    "strings for a type": ("mlp", TENSORS, 4, _u32(8), DAMAGED, "type 8"),
    "no type": ("mlp", TENSORS, 4, _u32(0xFFFFFFFF), DAMAGED, "tensor 'x'"),
    "axes": ("mlp", TENSORS, 8, _u32(0xFFFFFFFF), DAMAGED, "a tensor's name or axes"),
    "axes outside": ("mlp", TENSORS, 12, _u32(0xFFFFFFFF), DAMAGED, "a tensor's name or axes"),
    "tensor in the arena's header": ("mlp", TENSORS, 16, _u64(0), DAMAGED, "tensor 'x'"),
    "tensor unaligned": ("mlp", TENSORS, 16, _u64(96), DAMAGED, "tensor 'x'"),
    "tensor outside": ("mlp", TENSORS, 16, _u64((1 << 64) - 64), DAMAGED, "tensor 'x'"),
    "tensor at the end": ("mlp", TENSORS, 16, _u64(1 << 31), DAMAGED, "tensor 'x'"),
    "tensor too large": ("mlp", TENSORS, 24, _u64(1 << 20), DAMAGED, "tensor 'x'"),
    "negative axis": ("mlp", SHAPES, 0, struct.pack("<q", -1), DAMAGED, "tensor 'x'"),
    "axes that wrap around": ("mlp", SHAPES, 0, struct.pack("<2q", 1 << 33, 1 << 31), DAMAGED, "tensor 'x'"),
    "an axis of 0": ("mlp", SHAPES, 0, struct.pack("<q", 0), DAMAGED, "tensor 'x'"),
    "initial value outside": ("lstm", TENSORS, 40 * 4 + 32, _u64(1 << 40), DAMAGED, "initial"),
    "a name that a terminal obeys": ("mlp", STRINGS, 1, b"\x1b[2J\xff", MISSING_KERNEL, "'?[2J?"),
    "node name": ("mlp", NODES, 0, _u32(0xFFFFFFF0), DAMAGED, "node 0"),
    "kernel of a record": ("mlp", RECORDS, 0, _u32(99), DAMAGED, "record 0"),
    "node of a record": ("mlp", RECORDS, 4, _u32(99), DAMAGED, "record 0"),
    "operand unaligned": ("mlp", RECORDS, 16, _u64(68), DAMAGED, "operand 0"),
    "operand behind the arena": ("mlp", RECORDS, 16, _u64(1 << 40), DAMAGED, "operand 0"),
    "operand behind the weights": ("mlp", RECORDS, 16, _u64(1 << 40 | 1), DAMAGED, "operand 0"),
    "negative operand": ("mlp", RECORDS, 24, struct.pack("<q", -64), DAMAGED, "operand 1"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_every_number_is_checked(files, verdicts, name):
    """Also where the checksum is right: the reason says what and where."""
    kind, where, at, value, status, words = HOSTILE[name]
    good = files[kind][1].read_bytes()
    start = 0 if where is None else section(good, where)[0]
    ((got, why),) = verdicts([patched(good, start + at, value)])
    assert got == status and words in why, why


@pytest.mark.parametrize("target", [-1, 0, 1 << 40])
def test_a_jump_goes_forward(files, verdicts, target):
    """A record that would go on outside of the records, or forever, is refused."""
    model, file = files["if"]
    good = file.read_bytes()
    jump = model.program.kernels.index("jump")
    record = next(i for i, r in enumerate(model.program.records) if r["kernel"] == jump)
    place = section(good, RECORDS)[0] + 192 * record + 16 + 48
    ((status, why),) = verdicts([patched(good, place, struct.pack("<q", target))])
    assert status == DAMAGED and f"goes on at record {target}" in why


def test_a_later_field_is_known_or_refused(files, verdicts):
    """By its name; and it is no kernel that a record may call."""
    model, file = files["int8-cnn"]
    good = file.read_bytes()
    assert "qdepthwise.count" in model.program.later and verdicts([good]) == [(0, "")]
    unknown = rtp(replace(model.program, later=(*model.program.later, "conv.surprise")))
    called = patched(good, section(good, RECORDS)[0], _u32(len(model.program.kernels)))
    (missing, why), (damaged, where) = verdicts([unknown, called])
    assert missing == MISSING_KERNEL and "needs the field 'conv.surprise'" in why
    assert damaged == DAMAGED and "record 0" in where


@pytest.mark.parametrize("kind", ["mlp", "lstm", "if", "trees"])
def test_random_damage_with_a_right_checksum(files, verdicts, kind):
    """Whatever is changed outside of the weights: a status or a model, never an access that is not allowed."""
    good, rng = files[kind][1].read_bytes(), np.random.default_rng(7)
    weights, size = section(good, WEIGHTS)
    places = [i for i in range(16, len(good)) if not weights <= i < weights + size]
    made = []
    for _ in range(400):
        data = bytearray(good)
        for place in rng.choice(places, int(rng.integers(1, 9))):
            data[place] = int(rng.choice([0, 1, 64, 127, 128, 255, int(rng.integers(256))]))
        made.append(sealed(bytes(data)))
    statuses = {status for status, _ in verdicts(made)}
    assert DAMAGED in statuses and statuses <= {0, OTHER_VERSION, DAMAGED, MISSING_KERNEL}


PYTHON_ONLY = ("have the same name", "listed twice", "no UTF-8")
"""Words of what only Python's reader refuses."""


@pytest.mark.parametrize("kind", ["mlp", "lstm", "if", "trees"])
def test_both_readers_agree(files, verdicts, kind):
    """What Python takes, C takes; what C takes and Python does not is in what C does not read."""
    good, rng = to_bytes(files[kind][0].program), np.random.default_rng(11)
    read_by_both = [(0, HEADER + ENTRY * 13), *(_extent(good, k) for k in (KERNELS, RECORDS, SHAPES, TENSORS, INITIAL))]
    places = [i for begin, end in read_by_both for i in range(max(begin, 16), end)]
    made = [good]
    for _ in range(400):
        place = int(rng.choice(places))
        made.append(patched(good, place, bytes([int(rng.choice([0, 1, 2, 64, 128, 255]))])))
    taken = 0
    for data, (status, why) in zip(made, verdicts(made), strict=True):
        complaint = _complaint(data)
        if complaint:
            assert status or any(words in complaint for words in PYTHON_ONLY), complaint
        else:
            assert status in (0, MISSING_KERNEL), why  # Python looks for kernels when it has read all
            taken += 1
    assert 1 < taken < len(made)


def _complaint(data):
    try:
        read(data)
    except ProgramFileError as error:
        return str(error)
    return ""


def _extent(data, kind):
    begin, count = section(data, kind)
    return begin, begin + count * ELEMENTS[kind]


def test_initial_values_are_checked_for_every_state(files):
    """The lstm's fifth tensor is a state: what the case above changes."""
    model, file = files["lstm"]
    assert len(model.inputs) + len(model.outputs) == 4 and section(file.read_bytes(), INITIAL)[1] > 0
