"""Compiled programs as files: the same bits, the same bytes, and nothing that is damaged is used."""

import os
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from functools import cache

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rt_engine
from rt_engine.errors import InputError, ModelFileError, ProgramFileError, ShapeBindingError, StateError
from rt_engine.kernels.interface.record import RECORD
from rt_engine.program.rtp_file import read, write
from rt_engine.program.rtp_layout import ENTRY, HEADER, Kind, dtype_code, dtype_of
from rt_engine.program.rtp_writer import to_bytes
from rt_engine.read.source import opened
from rt_engine.run.native import KERNELS
from tests import ROOT
from tests.plc_bindings.c.models import GOLDEN, MODELS, lstm
from tests.plc_bindings.c.writer import rtp as other_writer
from tests.rt_engine.test_lanes import LIBRARIES

DEMO = ROOT / "station" / "demo" / "data"


@cache
def model(kind: str) -> rt_engine.Model:
    return MODELS[kind]()


@cache
def file(kind: str) -> bytes:
    return to_bytes(model(kind).program)


def feeds(one: rt_engine.Model, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {s.name: (rng.standard_normal(s.shape) * 3).astype(s.dtype) for s in one.inputs}


def sealed(data: bytes) -> bytes:
    """With the checksum that it should have, so that the checks behind the checksum are reached."""
    return data[:12] + struct.pack("<I", zlib.crc32(data[16:])) + data[16:]


def section(data: bytes, kind: Kind) -> int:
    return int(np.frombuffer(data, ENTRY, 13, HEADER.itemsize)[kind]["offset"])


# --- round trip ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MODELS)
def test_the_same_bits_report_and_state(kind, tmp_path):
    """Three runs in a row of the file's program: outputs and states of the model it was made of."""
    write(model(kind).program, tmp_path / "m.rtp")
    again = rt_engine.load(tmp_path / "m.rtp")
    assert (again.inputs, again.outputs, again.state) == tuple(
        getattr(model(kind), end) for end in ("inputs", "outputs", "state")
    )
    contexts = [m.context() for m in (model(kind), again)]
    for seed in range(3):
        for context in contexts:
            context.inputs.update(feeds(again, seed))
            context.run()
        for views in ("outputs", "state"):
            ours, theirs = (getattr(context, views) for context in contexts)
            assert {n: v.tobytes() for n, v in ours.items()} == {n: v.tobytes() for n, v in theirs.items()}
    assert str(again.report()) == str(replace(model(kind).report(), notes=()))
    bounds = [(m.program.arena_lower_bound, m.program.arena_bare_bound) for m in (model(kind), again)]
    assert bounds[0] == bounds[1]


@pytest.mark.parametrize("name", ["sklearn_forest_zipmap", "sklearn_gaussian_nb_names", "lightgbm_zipmap"])
def test_classes_and_notes_are_kept(name):
    """What outputs mean is in the file."""
    made = rt_engine.load(GOLDEN / f"{name}.onnx")
    again = rt_engine.load(to_bytes(made.program))
    assert made.program.naming.notes
    assert (again.classes, again.program.naming) == (made.classes, made.program.naming)


def test_what_was_assumed_is_not_kept():
    """A compiled program has its shapes."""
    made = rt_engine.load(DEMO / "policy-v1.onnx")
    assert made.notes == ("the file leaves the first size ('batch') of observation open: taken as 1",)
    assert rt_engine.load(to_bytes(made.program)).notes == ()


def test_metadata_is_kept():
    """In its order."""
    proto = onnx.load(DEMO / "policy-v1.onnx")
    onnx.helper.set_model_props(proto, {"unit": "°C", "author": "A. Engineer", "empty": ""})
    again = rt_engine.load(to_bytes(rt_engine.load(proto).program))
    assert list(again.metadata.items()) == [("unit", "°C"), ("author", "A. Engineer"), ("empty", "")]


def test_every_type_has_its_number_in_onnx():
    """dtype_code is ONNX's; dtype_of undoes it; other numbers are none."""
    from rt_engine.program.element_types import KNOWN

    for dtype in KNOWN:
        number = onnx.helper.np_dtype_to_tensor_dtype(dtype)
        assert (dtype_code(dtype), dtype_of(number)) == (number, dtype)
    assert [dtype_of(n) for n in (0, 8, 14, 15, 99)] == [None] * 5


def test_the_same_bytes_whatever_the_process_hashes():
    """Compiled in processes with other orders of sets: equal to the byte."""
    script = (
        "import sys, rt_engine; from rt_engine.program.rtp_writer import to_bytes; "
        "sys.stdout.buffer.write(to_bytes(rt_engine.load(sys.argv[1]).program))"
    )
    for path in (DEMO / "anomaly.onnx", GOLDEN / "torch_cond_dynamo.onnx"):
        made = [
            subprocess.run(
                [sys.executable, "-c", script, path], env={**os.environ, "PYTHONHASHSEED": seed}, stdout=-1, check=True
            ).stdout
            for seed in ("1", "2")
        ]
        assert made[0] == made[1] == to_bytes(rt_engine.load(path).program)


@pytest.mark.parametrize("lanes", LIBRARIES)
def test_the_same_bytes_for_every_lane_width(lanes):
    """A model that is loaded with kernels of 4, 8 or 16 lanes has one file, and that file runs on each."""
    path = DEMO / "anomaly.onnx"
    made = rt_engine.load(path, library=LIBRARIES[lanes])
    data = to_bytes(made.program)
    assert data == to_bytes(rt_engine.load(path).program)
    again = rt_engine.load(data, library=LIBRARIES[lanes])
    outputs = [m.run(feeds(made)) for m in (rt_engine.load(path), again)]
    assert [y.tobytes() for y in outputs[0]] == [y.tobytes() for y in outputs[1]]


def test_folded_constants_do_not_depend_on_the_lanes():
    """Compiled in a process whose own kernels have fewer lanes: the same bytes."""
    script = """
import sys, rt_engine
from rt_engine.run.native import KERNELS
from rt_engine.program.rtp_writer import to_bytes
from rt_native.target import host
KERNELS._target = host(int(sys.argv[2]))
model = rt_engine.load(sys.argv[1])
assert KERNELS.exports and KERNELS.target.lanes == int(sys.argv[2])
sys.stdout.buffer.write(to_bytes(model.program))
"""
    for path in (DEMO / "anomaly.onnx", GOLDEN / "torch_cond_dynamo.onnx"):
        for lanes in LIBRARIES:
            made = subprocess.run([sys.executable, "-c", script, path, str(lanes)], stdout=-1, check=True).stdout
            assert made == to_bytes(rt_engine.load(path).program), lanes


def test_another_writer_of_the_same_page_is_read():
    """The page says enough: a writer that shares no code with ours makes files that are read, and run to the same bits."""
    for kind in MODELS:
        again = rt_engine.load(other_writer(model(kind).program))
        results = [m.run(feeds(again)) for m in (model(kind), again)]
        assert [y.tobytes() for y in results[0]] == [y.tobytes() for y in results[1]]


def test_loading_imports_neither_onnx_nor_numba(tmp_path):
    """A process that loads, runs and hot-updates compiled programs has none of what compiles."""
    write(model("mlp").program, tmp_path / "m.rtp")
    script = """
import sys
import rt_engine
model = rt_engine.load(sys.argv[1])
model.run({s.name: __import__("numpy").zeros(s.shape, s.dtype) for s in model.inputs})
slot = rt_engine.ModelSlot(model)
reader = slot.reader()
slot.update(rt_engine.load(sys.argv[1]))
print([m for m in ("onnx", "onnx_ir", "numba", "ml_dtypes", "google.protobuf") if m in sys.modules])
"""
    KERNELS.build()
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "m.rtp"], stdout=-1, check=True, text=True)
    assert done.stdout == "[]\n"


def test_a_file_that_is_overwritten_changes_nothing_that_runs(tmp_path):
    """The file is read, not mapped: written over and cut short while a context of it runs."""
    path = tmp_path / "m.rtp"
    write(model("mlp").program, path)
    loaded = rt_engine.load(path)
    expected = loaded.run(feeds(loaded))[0].tobytes()
    path.write_bytes(b"\xff" * 100)
    os.truncate(path, 0)
    assert loaded.run(feeds(loaded))[0].tobytes() == expected


def test_a_program_is_known_by_its_name_or_by_its_beginning(tmp_path):
    """A file with another name is recognised."""
    (tmp_path / "renamed.bin").write_bytes(file("mlp"))
    (tmp_path / "x.onnx").write_bytes(b"\x08\x08")
    (tmp_path / "empty.rtp").touch()
    found = [opened(tmp_path / n).is_program for n in ("renamed.bin", "x.onnx", "empty.rtp")]
    assert found == [True, False, True]
    assert rt_engine.load(tmp_path / "renamed.bin").inputs == model("mlp").inputs


# --- what is asked for and what was compiled -----------------------------------------------------------------------------


def test_shapes_and_states_may_be_repeated_not_changed():
    """The station file may say again what the program was compiled with."""
    data = to_bytes(lstm().program)
    again = rt_engine.load(data, {"x": (1, 1, 4), "h": (1, 1, 8)}, state={"h2": "h", "c2": "c"})
    assert [s.name for s in again.state] == ["h", "c"]
    with pytest.raises(ShapeBindingError, match=r"compiled with \[1, 1, 4\]: compile it with --shape x=2,1,4"):
        rt_engine.load(data, {"x": (2, 1, 4)})
    with pytest.raises(ShapeBindingError, match="no such input"):
        rt_engine.load(data, {"z": (2,)})
    for state in ({"h2": "h"}, {"h2": "h", "no": "c"}):
        with pytest.raises(StateError, match="compile it with --state h2=h"):
            rt_engine.load(data, state=state)


def test_initial_values_may_be_replaced():
    """Those that are given; the others stay the file's."""
    start = np.arange(8, dtype=np.float32).reshape(1, 1, 8)
    context = rt_engine.load(to_bytes(lstm().program), initial={"c": start}).context()
    assert (context.state["c"] == start).all() and (context.state["h"] == 0.25).all()
    with pytest.raises(InputError, match="no state 'z'"):
        rt_engine.load(to_bytes(lstm().program), initial={"z": start})


# --- what is refused -------------------------------------------------------------------------------------------------------


def _patched(at: int, value: bytes, kind: str = "mlp") -> bytes:
    data = file(kind)
    return data[:at] + value + data[at + len(value) :]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not a compiled program"),
        (b"ONNX", "not a compiled program"),
        (file("mlp")[:40], "ends inside of its header"),
        (file("mlp")[:-1], "its header says"),
        (file("mlp") + b"\0", "its header says"),
        (
            _patched(8, b"\x02"),
            "version 2 of the file format, this engine reads 1; compile the model again with `rt-engine compile`, or run",
        ),
        (_patched(200, b"\x77"), "its checksum is wrong; copy the file again"),
        (sealed(_patched(24, b"\x09")), "version 9 of the kernels' interface, this engine has 1; compile the model"),
        (sealed(_patched(32, b"\xff" * 8)), "asks for an arena"),
        (sealed(_patched(52, b"\x0c")), "12 sections"),
        (sealed(_patched(64 + 4, b"\xff" * 4)), "section STRINGS"),
        (sealed(_patched(64 + 24 + 8, b"\xc0" + b"\xff" * 7)), "section KERNELS"),
        (sealed(_patched(40, b"\x02")), "tensors for 2 inputs"),
        (sealed(_patched(section(file("mlp"), Kind.STRINGS), b"x")), "its strings have no end"),
        (sealed(_patched(section(file("mlp"), Kind.TENSORS), b"\xff" * 4)), "a text at"),
        (sealed(_patched(section(file("mlp"), Kind.TENSORS) + 4, b"\x08")), "has type 8"),
        (sealed(_patched(section(file("mlp"), Kind.TENSORS) + 8, b"\xff" * 4)), "axes"),
        (sealed(_patched(section(file("mlp"), Kind.TENSORS) + 16, b"\x01")), "outside of the arena"),
        (sealed(_patched(section(file("mlp"), Kind.TENSORS) + 22, b"\x01")), "outside of the arena"),
        (sealed(_patched(section(file("mlp"), Kind.SHAPES) + 7, b"\xff")), "of shape"),
        (sealed(_patched(section(file("mlp"), Kind.NODES) + 16, b"\xff" * 4)), "a list of"),
        (sealed(_patched(section(file("mlp"), Kind.RECORDS), b"\x40")), "record 0 of"),
        (sealed(_patched(section(file("mlp"), Kind.RECORDS) + 4, b"\xff")), "record 0 of"),
        (sealed(_patched(section(file("mlp"), Kind.RECORDS) + 16, b"\xfe" + b"\xff" * 7)), "record 0 of"),
        (sealed(_patched(section(file("mlp"), Kind.RECORDS) + 16, b"\x02")), "record 0 of"),
        (sealed(_patched(section(file("mlp"), Kind.RECORDS) + 19, b"\x7f")), "record 0 of"),
        (sealed(_patched(section(file("lstm"), Kind.TENSORS) + 4 * 40 + 34, b"\x01", "lstm")), "the initial value"),
    ],
)
def test_what_is_damaged_is_refused(data, why, tmp_path):
    """Each check, reached and failing; from bytes and from a file."""
    (tmp_path / "m.rtp").write_bytes(data)
    with pytest.raises(ProgramFileError, match=why):
        read(data)
    with pytest.raises(ProgramFileError, match=why):
        rt_engine.load(tmp_path / "m.rtp")


def test_jumps_stay_inside():
    """Of `if`: forward and not beyond the end."""
    data, program = file("if"), model("if").program
    at = section(data, Kind.RECORDS) + RECORD.fields["size"][1]
    jumps = [i for i, r in enumerate(program.records) if program.kernels[r["kernel"]] == "jump"]
    assert jumps
    for index in jumps:
        for target in (index, -1, len(program.records) + 1):
            where = at + index * RECORD.itemsize
            with pytest.raises(ProgramFileError, match=f"record {index} of"):
                read(sealed(data[:where] + struct.pack("<q", target) + data[where + 8 :]))


def test_an_unknown_kernel_is_named():
    """With what to do."""
    data = sealed(file("mlp").replace(b"\0gemm_f32\0", b"\0gemm_f99\0"))
    with pytest.raises(ProgramFileError, match="kernels that this version does not have: 'gemm_f99'; compile"):
        rt_engine.load(data)


def test_what_is_no_file_is_refused(tmp_path):
    """A folder, a pipe that nobody writes, nothing at all: at once, with the reason."""
    os.mkfifo(tmp_path / "pipe.rtp")
    (tmp_path / "folder.rtp").mkdir()
    for name, why in (("pipe", "is no file"), ("folder", "folder.rtp"), ("none", "No such file")):
        with pytest.raises(ModelFileError, match=why):
            rt_engine.load(tmp_path / f"{name}.rtp")


def test_writing_keeps_links_and_what_is_no_file(tmp_path):
    """A link still points at the file, which is new; a pipe, as a device, gets the bytes and stays."""
    program, link = rt_engine.load(file("mlp")).program, tmp_path / "link.rtp"
    (tmp_path / "real.rtp").write_bytes(b"old")
    link.symlink_to("real.rtp")
    write(program, link)
    assert link.is_symlink() and (tmp_path / "real.rtp").read_bytes() == file("mlp")
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write(program, tmp_path / "pipe")
    assert os.read(reader, 8) == file("mlp")[:8] and not (tmp_path / "pipe").is_file()
    os.close(reader)
    with pytest.raises(OSError, match="too long"):
        write(program, tmp_path / f"{'a' * 251}.rtp")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link.rtp", "pipe", "real.rtp"]


def test_a_name_that_c_cannot_read_is_not_written():
    """A null character would end the name."""
    proto = onnx.load(DEMO / "policy-v1.onnx")
    onnx.helper.set_model_props(proto, {"a\0b": "c"})
    with pytest.raises(ProgramFileError, match="null character"):
        to_bytes(rt_engine.load(proto).program)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(MODELS)), st.integers(0, 1 << 30), st.integers(0, 255), st.integers(0, 1 << 30))
def test_flipped_and_cut(kind, at, value, length):
    """One other byte, or another length: refused by the checksum or the length."""
    data = file(kind)
    cut = data[: length % len(data)]
    changed = bytearray(data)
    changed[at % len(data)] = value
    for damaged in (cut, *([bytes(changed)] if changed != data else [])):
        with pytest.raises(ProgramFileError):
            read(damaged)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(MODELS)),
    st.lists(st.tuples(st.integers(0, 1 << 30), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4),
)
def test_hostile_bytes_under_a_right_checksum(kind, changes):
    """Whatever the tables say: refused with our own error, or a program whose tables point inside of it."""
    data = bytearray(file(kind))
    tables = len(data) - section(file(kind), Kind.SHAPES)
    for at, value in changes:
        start = HEADER.itemsize + at % (13 * ENTRY.itemsize) if at % 2 else len(data) - 1 - at % tables
        data[start : start + len(value)] = value[: len(data) - start]
    try:
        program = read(sealed(bytes(data)))
    except ProgramFileError:
        return
    for place in (*program.inputs, *program.outputs, *program.state):
        nbytes = int(np.prod(place.spec.shape, dtype=np.int64)) * place.spec.dtype.itemsize
        assert place.offset >= 64 and place.offset + nbytes <= program.arena_nbytes
    assert all(0 <= r["kernel"] < len(program.kernels) and r["node"] < len(program.nodes) for r in program.records)
    if program.arena_nbytes < 1 << 20 and set(program.kernels) <= _KNOWN:
        rt_engine.Model(program).context()


_KNOWN = {name.removeprefix("k_") for name in KERNELS.exports}
