"""The C library: the same bits as Python, and nothing but computing in a run."""

import itertools
import re
from dataclasses import replace

import pytest

import rt_engine
from plc_bindings.c import FOLDER
from plc_bindings.c.export import known_features
from plc_bindings.c.statuses import FILE, header
from plc_bindings.status import KINDS
from rt_engine.kernels.interface.dtypes import NARROW, DType
from rt_engine.kernels.interface.record import RECORD
from rt_engine.program.rtp_file import write
from rt_engine.run.blocks import ARRANGEMENT, BLOCK, CHANGE, READER, STATE
from rt_native import version
from rt_native.levels import LEVELS, level
from rt_native.target import native
from tests.plc_bindings.c.models import GOLDEN, MODELS, cycles
from tests.plc_bindings.c.toolchain import STRICT, Toolchain, compile_c, run, v3

pytestmark = pytest.mark.peer("gcc", "g++")


def test_statuses_are_pythons(plain):
    """The header is what the enumerations make of it; every number has its name in C, every other number none."""
    assert FILE.read_text() == header()
    names = {m.value: m.name for kind in KINDS for m in kind}
    lines = [line.split() for line in run(plain.program("layouts.c")).stdout.splitlines()]
    told = {int(line[1]): line[2] for line in lines if line[0] == "status"}
    assert told == {number: names.get(number, "unknown") for number in range(-1, 400)}


def test_layouts_are_pythons(plain):
    """Records, blocks, slots and readers have their fields where native code looks for them."""
    of = {
        **{"rte_record": RECORD, "rte_block": BLOCK, "rte_native_state": STATE},
        **{"rte_native_change": CHANGE, "rte_native_arrangement": ARRANGEMENT, "rte_native_reader": READER},
    }
    told = {tuple(line.split()[:2]): int(line.split()[-1]) for line in _layout_lines(plain)}
    expected = {
        (name, field): place[1]
        for name, dtype in of.items()
        for field, place in dtype.fields.items()
        if field != "spare"
    }
    assert told == expected | {(name, "size"): dtype.itemsize for name, dtype in of.items()}


def _layout_lines(plain):
    return [line for line in run(plain.program("layouts.c")).stdout.splitlines() if line.startswith("rte_")]


def test_the_version_is_the_projects(plain):
    assert f"version {version.TEXT}" in run(plain.program("layouts.c")).stdout.splitlines()


def test_element_types_are_pythons():
    """Each has ONNX's number, and its size where files are checked; a narrow type takes a byte."""
    told = dict(re.findall(r"RTE_(\w+) = (\d+)", (FOLDER / "rt_engine.h").read_text().split("rte_dtype;")[0]))
    assert {name: int(number) for name, number in told.items()} == {t.numpy.upper(): t.value for t in DType}
    sizes = re.search(r"bytes\[\] = \{(.*?)\};", (FOLDER / "rt_load.c").read_text())
    assert {number: int(size) for number, size in enumerate(sizes[1].split(", ")) if size != "0"} == {
        **{t.value: t.nbytes for t in DType},
        **dict.fromkeys(NARROW.values(), 1),
    }


def _runs(program, files, kind, folder, count=8):
    """Run a model in C on some inputs; its outputs are Python's."""
    model, file = files[kind]
    inputs, expected = cycles(model, count)
    (folder / "in").write_bytes(inputs)
    done = run(*program, file, folder / "in", folder / "out", count)
    ends = [("in", s) for s in model.inputs] + [("out", s) for s in model.outputs]
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [[end, s.name] for end, s in ends]
    assert (folder / "out").read_bytes() == expected


@pytest.mark.parametrize("kind", MODELS)
def test_the_same_bits_as_python(plain, files, kind, tmp_path):
    """Every output of eight runs in a row; the C library with 8 lanes, Python with this machine's."""
    _runs([plain.program("run_model.c")], files, kind, tmp_path)


def test_every_exported_model_has_the_same_bits(plain, tmp_path):
    """PyTorch's, scikit-learn's, LightGBM's, XGBoost's: all that the exporters' tests have."""
    program = plain.program("run_model.c")
    exported = sorted(GOLDEN.glob("*.onnx"))
    assert len(exported) > 200
    for path in exported:
        model = rt_engine.load(path)
        write(model.program, tmp_path / "model.rtp")
        _runs([program], {path.name: (model, tmp_path / "model.rtp")}, path.name, tmp_path, 2)


@pytest.mark.parametrize("kind", MODELS)
def test_sanitizers_find_nothing(checked, files, kind, tmp_path):
    """No invalid access, no undefined behaviour, no leak."""
    _runs([checked.program("run_model.c")], files, kind, tmp_path)


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=pytest.mark.peer("valgrind")) for kind in MODELS])
def test_valgrind_finds_nothing(plain, files, kind, tmp_path):
    """Inside of the kernels too: no invalid access, no value that was never written, no leak."""
    grind = ("valgrind", "-q", "--error-exitcode=9", "--leak-check=full", "--errors-for-leak-kinds=all")
    _runs([*grind, plain.program("run_model.c")], files, kind, tmp_path, 2)


def test_two_threads_share_a_model(plain, checked, files):
    """Each gets the bits that a context of its own gets, whatever the other does."""
    for tools, runs in ((plain, 20_000), (checked, 500)):
        assert run(tools.program("threads.c"), files["mlp"][1], runs).stdout == "0 wrong\n"


@pytest.mark.parametrize("kind", ["mlp", "lstm"])
def test_a_run_does_nothing_but_compute(plain, files, kind):
    """No allocation, no page fault, and the kernel would kill the process at a system call."""
    wrap = [f"-Wl,--wrap={name}" for name in ("malloc", "calloc", "realloc", "aligned_alloc")]
    program = plain.program("real_time.c", *wrap)
    assert run(program, files[kind][1], 10_000).stdout == "clean\n"
    for spoil, words in (
        ("malloc", "ended with 1:\nallocated"),
        ("fault", "ended with 1:\nfaulted"),
        ("call", "ended with -9"),
    ):
        with pytest.raises(AssertionError, match=words):
            run(program, files[kind][1], 10, spoil)


def _needing(tmp_path, *features):
    """A library that says that it needs these."""
    listed = "".join(f'"{feature}", ' for feature in features)
    table = re.sub(r"(rte_kernel_features\[\] = )\{.*\};", rf"\1{{{listed}NULL}};", v3().table)
    return Toolchain(tmp_path / "needing", replace(v3(), table=table)).program("hostile.c")


def test_another_processor_is_refused(tmp_path, files):
    """A library that needs what no processor has loads nothing, and says what is missing."""
    told = run(_needing(tmp_path, *known_features(native()), "avx1024"), files["mlp"][1]).stdout
    assert told.startswith("305 OTHER_PROCESSOR the library was built for")
    assert "has no avx1024: take one of a lower level" in told


@pytest.mark.parametrize("name", [v3().level.name, "native"])
def test_this_processor_is_recognised(tmp_path, files, name):
    """It has what these levels need: asked by CPUID, not through LLVM."""
    needed = known_features(native() if name == "native" else level(name))
    assert {"avx2", "fma"} <= set(needed) or "neon" in needed
    assert run(_needing(tmp_path, *needed), files["mlp"][1]).stdout.startswith("0 OK")


def test_every_level_can_be_asked_for():
    """The C file knows all features of every level, and every vector extension that LLVM names on this machine."""
    for name in LEVELS:
        assert set(known_features(level(name))) == set(level(name).required)
    named = native().required
    assert {f for f in named if re.match("avx|fma|f16c|sse|gfni|bmi", f)} - {"sse", "sse2"} <= set(
        known_features(native())
    )


def test_the_library_shows_only_its_interface(plain):
    """Every symbol begins with rte_, and it needs libc alone."""
    shared = plain.shared()
    shown = [line.split()[-1] for line in run("nm", "-D", "--defined-only", shared).stdout.splitlines()]
    declared = {word for word in _words((FOLDER / "rt_engine.h").read_text()) if word.startswith("rte_")}
    assert shown and set(shown) <= declared and "rte_load" in shown
    assert not [line for line in run("nm", "-D", shared).stdout.splitlines() if "Py" in line or "NRT_" in line]
    needed = [
        line.split("[")[1].rstrip("]") for line in run("readelf", "-d", shared).stdout.splitlines() if "NEEDED" in line
    ]
    assert all(name.startswith(("libc.", "libpthread.", "ld-linux")) for name in needed)


def _words(text):
    return ["".join(group) for is_word, group in itertools.groupby(text, lambda c: c.isalnum() or c == "_") if is_word]


@pytest.mark.parametrize(
    "compiler", [("gcc", "-std=c11", "-xc"), ("g++", "-std=c++11", "-xc++"), ("g++", "-std=c++20", "-xc++")]
)
def test_the_header_stands_alone(compiler, tmp_path):
    """In C and in C++, without a warning."""
    source = tmp_path / "alone"
    source.write_text('#include "rt_engine.h"\nint main(void) { return rte_version() == 0; }\n')
    run(*compiler, *STRICT, "-fsyntax-only", source)


def test_the_pages_code_compiles(tmp_path):
    """Every block of C in docs/c.md."""
    blocks = re.findall(r"```c\n(.*?)```", (FOLDER.parents[1] / "docs" / "c.md").read_text(), re.S)
    assert len(blocks) == 2
    for block in blocks:
        (tmp_path / "block.c").write_text("#define _POSIX_C_SOURCE 200809L\n" + block)
        compile_c(tmp_path / "block.c", tmp_path / "block.o")
