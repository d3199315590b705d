"""Native libraries: built once, loaded without Numba, rebuilt when a source changes."""

import io
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from rich.console import Console

from rt_native.cache import cache_folder, only_one
from rt_native.errors import BuildError
from rt_native.library import Library, reachable_sources, users_sources
from rt_native.progress import UNDONE, bar, lines
from tests import ROOT
from tests.waiting import wait_for

SOURCE = """
from rt_native.lang import export
from helper_{tag} import twice

@export
def answer(x):
    return twice(x) + {constant}
"""
HELPER = """
from rt_native.lang import inline

@inline
def twice(x):
    return 2 * x
"""


@pytest.fixture
def library(tmp_path, monkeypatch, request):
    """A library of one module that imports another, in a cache of its own."""
    monkeypatch.setenv("RT_ENGINE_CACHE", str(tmp_path / "cache"))
    tag = f"m{abs(hash(request.node.name)) % 10**8}"

    def make(constant=1, helper=HELPER):
        (tmp_path / f"native_{tag}.py").write_text(SOURCE.format(tag=tag, constant=constant))
        (tmp_path / f"helper_{tag}.py").write_text(helper)
        return Library("sample", (f"native_{tag}",), path=(str(tmp_path),))

    return make


def test_an_exported_function_computes(library):
    """Python source becomes a callable."""
    assert library().function("answer")(20) == 41


def test_code_outlives_its_library(library):
    """Who has a function, or its address, need not hold what it came from; a forked process has it too. In one that may crash."""
    made = library()
    made.build()
    program = (
        f"import gc, os; from rt_native.library import Library; given = 'sample', {made.modules}, None, {made.path}\n"
        "function = Library(*given).function('answer'); gc.collect()\n"
        "if child := os.fork(): assert os.waitpid(child, 0)[1] == 0\n"
        "print(function(20))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "41\n41\n"), done.stderr


def test_a_second_start_compiles_nothing(library):
    """The object is taken from the cache: no build, the same name."""
    first = library()
    [path] = (objects := first.build()).values()
    stamp = path.stat().st_mtime_ns
    again = library()
    assert again.is_built()
    assert again.build(progress=_never) == objects
    assert path.stat().st_mtime_ns == stamp


def test_only_the_changed_module_is_built_again(library, tmp_path):
    """One object per module: an edit of one leaves the object of the other."""
    (tmp_path / "other_native.py").write_text(SOURCE.format(tag="other", constant=5).replace("answer", "reply"))
    (tmp_path / "helper_other.py").write_text(HELPER)
    modules = (*library(constant=1).modules, "other_native")
    before = Library("sample", modules, path=(str(tmp_path),)).build()
    library(constant=2)
    both = Library("sample", modules, path=(str(tmp_path),))
    after = both.build()
    assert [before[m] == after[m] for m in modules] == [False, True]
    assert (both.function("answer")(1), both.function("reply")(1)) == (4, 7)


def _never(name, done, total):
    raise AssertionError("this build should not have happened")


def test_one_changed_line_rebuilds(library):
    """The key is a hash of the source."""
    before, after = library(constant=1), library(constant=2)
    assert before.objects() == after.objects()  # same files now: the second call rewrote them
    assert after.function("answer")(1) == 4
    assert library(constant=3).function("answer")(1) == 5


def test_a_changed_helper_rebuilds(library):
    """What the module imports is part of the object's name."""
    before = library().objects()
    assert library(helper=HELPER.replace("2 * x", "3 * x")).objects() != before


def test_a_source_that_is_edited_while_it_is_compiled_leaves_no_object(library):
    """The object would stand under the hash of another text."""
    edited = library(constant=1)
    [path] = edited.objects().values()
    with pytest.raises(BuildError, match="edited while they were compiled; start again"):
        edited.build(progress=lambda *_: library(constant=2))
    assert not path.exists() and not edited.is_built()
    assert edited.function("answer")(20) == 42


def test_a_source_that_is_edited_while_another_process_builds_is_seen(library, capsys):
    """What is compiled is what the name says, also when the build had to wait."""
    waiting = library(constant=1)
    old = waiting.objects()
    folder = cache_folder()
    folder.mkdir()
    with only_one(folder / f"sample-{waiting.target.lanes}.lock"):
        building = threading.Thread(target=waiting.build)
        building.start()
        wait_for(lambda: _waits_for_a_lock(building))
        library(constant=2)
    building.join()
    assert "Waiting for another process, which compiles 'sample-" in capsys.readouterr().err
    assert not any(path.exists() for path in old.values()) and waiting.is_built()
    assert waiting.function("answer")(20) == 42


def _waits_for_a_lock(thread):
    """Does this thread stand in a blocking `flock`?"""
    return Path(f"/proc/self/task/{thread.native_id}/wchan").read_text() in (
        "locks_lock_inode_wait",
        "flock_lock_inode_wait",
    )


@pytest.mark.parametrize("suffix", [".o", ".json"])
@pytest.mark.parametrize("damage", [None, b"", b"[]", b"\x7fELF half a file"])
def test_a_damaged_cache_is_built_again(library, suffix, damage):
    """A file of the cache that is missing, cut or overwritten is built again; LLVM never sees it."""
    [path] = library().build().values()
    broken = path.with_suffix(suffix)
    if damage is None:
        broken.unlink()
    else:
        broken.write_bytes(damage)
    assert library().function("answer")(20) == 41


def test_unknown_name_says_what_there_is(library):
    """The error lists the exports."""
    with pytest.raises(KeyError, match="answer"):
        library().address("question")


def test_a_compiler_error_is_reported_with_the_function(library):
    """BuildError carries the function's name and the compiler's words; nothing is cached."""
    broken = library(helper=HELPER.replace("2 * x", "x.undefined"))
    with pytest.raises(BuildError, match="answer"):
        broken.build()
    assert not broken.is_built()


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import os; os.kill(os.getpid(), 9)", r"has ended \(Killed\): was there too little memory\?$"),
        (
            "from rt_native.build import workers; import os; workers().submit(os._exit, 1).result()",
            "one of its processes",
        ),
        (
            "raise OSError(28, 'No space left on device')",
            "it cannot be written to /.*/cache: .*No space left on device$",
        ),
    ],
)
def test_a_compiler_that_is_killed_or_cannot_write_is_a_sentence(library, monkeypatch, program, said):
    """It had no time for a word; or what it says is for who wrote it."""
    words = [sys.executable, "-c", f"import sys; sys.path.append({str(ROOT)!r}); {program}"]
    monkeypatch.setattr("rt_native.programs.isolated.command", lambda *_, **__: words)
    with pytest.raises(BuildError, match=said) as refused:
        library().build()
    assert "Traceback" not in str(refused.value)


def test_an_unwritable_cache_says_what_to_do(library, monkeypatch):
    """The message names the variable that moves the cache."""
    monkeypatch.setenv("RT_ENGINE_CACHE", "/proc/nowhere")
    with pytest.raises(BuildError, match="RT_ENGINE_CACHE"):
        library().build()


def test_reachable_sources_follow_imports():
    """The key of the kernels covers what kernels import."""
    found = reachable_sources("rt_engine.kernels.gemm")
    assert {
        "rt_engine.kernels.gemm",
        "rt_engine.kernels.parts.tile",
        "rt_engine.kernels.parts.abi",
        "rt_native.vector",
        "rt_native.lang",
    } <= set(found)
    assert "rt_engine.kernels.reduce" not in found


def test_loading_an_engine_imports_no_numba():
    """A warm start runs a model without Numba in the process."""
    code = (
        "import sys, rt_engine; from rt_engine.run.native import KERNELS; KERNELS.function('execute');"
        "sys.exit('numba' in sys.modules)"
    )
    from rt_engine.run.native import KERNELS

    KERNELS.build()
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


# No room between the libraries that are there, and below them holes, the smallest highest, between mappings of 4 GB:
# where the parts of an object are placed one by one, they are further from each other than its code can reach.
CROWDED = """
import ctypes, mmap, rt_engine
from rt_engine.run.native import KERNELS

def mapped(size):
    kept.append(mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000))  # MAP_NORESERVE
    return ctypes.addressof(ctypes.c_char.from_buffer(kept[-1]))

PAGE, WALL, kept, holes = 4096, 4 << 30, [], []
lowest = mapped(WALL)
for pages in (256, 16, 1):
    while mapped(pages * PAGE) > lowest:
        pass
for pages in range(1, 128):
    holes.append(mmap.mmap(-1, pages * PAGE))
    mapped(WALL)
for hole in holes:
    hole.close()
KERNELS.function("execute")
"""


def test_a_crowded_process_loads_objects():
    """As one that imported PyTorch with its libraries for graphics cards: LLVM aborted it."""
    from rt_engine.run.native import KERNELS

    KERNELS.build()
    assert subprocess.run([sys.executable, "-c", CROWDED], cwd=ROOT, check=False).returncode == 0


def test_without_a_terminal_lines_tell_how_far_it_is():
    """One at the start, one at the end, and some between when it takes long."""
    said = []
    show = lines(said.append, "this machine", every_s=0.0)
    for done in (0, 1, 2):
        show("kernels", done, 2)
    assert said[0] == "Compiling the native library 'kernels' for this machine (once) ..."
    assert [line.split(" after")[0] for line in said[1:]] == ["  0 of 2", "  1 of 2", "  2 of 2"]
    said.clear()
    show = lines(said.append, "this machine")
    for done in range(3):
        show("kernels", done, 2)
    assert len(said) == 2, "and few when it does not"
    said.clear()
    for total in (0, UNDONE, 0):
        show("kernels", 0, total)
    assert said == [said[0]] * 2, "of what has ended undone, and begins anew"


def test_bars_that_are_done_do_not_come_again():
    """What is compiled an hour later is told by itself."""
    out = io.StringIO()
    show = bar(Console(file=out, force_terminal=True, width=100), "this machine")
    for name in ("kernels", "replay"):
        out.truncate(0)
        for done in range(2):
            show(name, done, 1)
    assert "replay" in out.getvalue() and "kernels" not in out.getvalue()


def test_a_bar_that_ends_undone_gives_the_cursor_back():
    """Nor does it say how many there are before that is known, or that all are done."""
    out = io.StringIO()
    show = bar(Console(file=out, force_terminal=True, width=100, _environ={"TERM": "xterm"}), "this machine")
    show("kernels", 0, 0)
    show("kernels", 0, UNDONE)
    assert "0/?" in out.getvalue() and out.getvalue().rindex("\x1b[?25h") > out.getvalue().rindex("\x1b[?25l")


@pytest.mark.parametrize(
    "text",
    [
        "import math\n\nimport gains\n",
        "import math, gains\n",
        "import gains as g  # of the plant\n",
        "from math import (\n    sin,  # an import\n    cos,\n)\nfrom gains import (\n    P,\n)\n",
        "if True:\n    import gains\n",
        "from .gains import P\n",
        "from . import gains\n",
    ],
)
def test_every_way_to_import_is_seen(tmp_path, text):
    """What is overlooked could be edited, or be another user's, and the old or his code would run."""
    (tmp_path / "mine.py").write_text(text)
    (tmp_path / "gains.py").write_text("P = 2.0\n")
    assert {path.name for path in users_sources("mine", str(tmp_path))} == {"mine.py", "gains.py"}


def test_what_the_cycle_is_made_of_has_when_a_monitor_speaks():
    """Imported below another import, it was overlooked."""
    assert "scheduler.verdicts" in reachable_sources("scheduler.cycle_native")
