"""Large libraries: an export is compiled when it is asked for; the rest in the background, which yields to everything."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rt_native import background, needed, rest
from rt_native.cache import cache_folder, only_one
from rt_native.errors import BuildError, NotBuiltError
from rt_native.library import Library
from rt_native.needed import Needed
from tests import ROOT

ONE = """
from rt_native.lang import export

@export
def one(x):
    return x + 1

@export
def two(x):
    return x + {constant}
"""
OTHER = """
from rt_native.lang import export

@export
def three(x):
    return x + 3
"""


@pytest.fixture
def make(tmp_path, monkeypatch):
    """A library of two modules in a cache of its own, whose exports are compiled one by one."""
    monkeypatch.setenv("RT_ENGINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RT_ENGINE_COMPILE", "needed")

    def library(constant=2):
        (tmp_path / "one_native.py").write_text(ONE.format(constant=constant))
        (tmp_path / "other_native.py").write_text(OTHER)
        return Library("parts", ("one_native", "other_native"), path=(str(tmp_path),), apart=True)

    return library


def pieces():
    """The exports that were compiled alone."""
    return sorted(path.name.split(".")[1] for path in cache_folder().glob("*.*.o"))


def test_what_is_asked_for_is_compiled_and_nothing_else(make):
    """All that is needed together, then one more; its module is nobody's before."""
    library = make()
    library.need(("one", "three", "unknown"))
    assert pieces() == ["one", "three"]
    assert (library.function("one")(1), library.function("three")(1)) == (2, 4)
    assert library.function("two")(1) == 3
    assert pieces() == ["one", "three", "two"]
    assert library.exports == {"one": 1, "two": 1, "three": 1}
    assert library.homes() == {"one": "one_native", "two": "one_native", "three": "other_native"}
    with pytest.raises(KeyError, match="has no 'unknown'; it has one, three, two"):
        library.address("unknown")
    assert not library.is_compiled()


def test_objects_are_those_that_were_compiled(make, monkeypatch):
    """Export by export, and nothing anew; of a module that is there as a whole that object; of the whole library no pieces."""
    library = make()
    library.need(("one", "three"))
    monkeypatch.setenv("RT_ENGINE_COMPILE", "never")
    again = make()
    assert sorted(again.pieces(("one", "three"))) == ["one.o", "three.o"]
    with pytest.raises(NotBuiltError):
        again.pieces(("two",))
    monkeypatch.setenv("RT_ENGINE_COMPILE", "needed")
    Library("parts", ("one_native",), path=again.path).build()
    assert sorted(make().pieces(("one", "two", "three"))) == ["one_native.o", "three.o"]
    make().build()
    assert make().pieces(("one",)) == {}


def test_another_process_finds_the_pieces_and_a_damaged_one_is_made_again(make, monkeypatch):
    """Without a compiler's run; never one that is not what was written."""
    make().need(("one", "three"))
    [path] = cache_folder().glob("*.one.o")
    path.write_bytes(b"\x7fELF half a file")
    monkeypatch.setenv("RT_ENGINE_COMPILE", "never")
    assert Needed(make()).address("three")
    with pytest.raises(NotBuiltError, match="RT_ENGINE_COMPILE=never"):
        Needed(make()).address("one")
    monkeypatch.setenv("RT_ENGINE_COMPILE", "needed")
    assert make().function("one")(1) == 2


def test_a_whole_module_takes_the_place_of_its_pieces(make):
    """Whoever compiles all removes them; a process that has some goes on, and takes what it needs then from the whole."""
    library = make()
    assert library.function("one")(1) == 2
    make().build()
    assert pieces() == []
    assert (library.function("one")(1), library.function("two")(1)) == (2, 3)
    assert pieces() == []


def test_a_source_that_is_edited_between_two_needs_is_told(make):
    """Functions of two texts would work together."""
    library = make()
    library.need(("one",))
    make(constant=7)
    with pytest.raises(BuildError, match="sources of one_native were edited since this process uses them; start again"):
        library.need(("two",))
    assert make(constant=7).function("two")(1) == 8


def test_a_failure_names_the_function_and_leaves_the_others(make, tmp_path):
    """As a whole build does."""
    library = make(constant="x.undefined")
    with pytest.raises(BuildError, match="two: "):
        library.need(("two",))
    assert library.function("one")(1) == 2


def test_what_is_needed_waits_for_nobody_in_the_background(make):
    """Who compiles at the lowest priority may take for ever."""
    library = make()
    cache_folder().mkdir()
    with only_one(cache_folder() / f"parts-{library.target.lanes}.background.lock"):
        assert library.function("one")(1) == 2


def test_two_threads_need_one_thing(make):
    """It is compiled once; both get it."""
    library, found = make(), []
    threads = [threading.Thread(target=lambda: found.append(library.function("one")(1))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [2, 2]


def test_the_background_yields_to_everything():
    """The kernel's idle class, the last niceness, and a session's share with it."""
    code = (
        "import os; from pathlib import Path; from rt_native.rest import yield_to_all; yield_to_all();"
        "group = Path('/proc/self/autogroup');"
        "print(os.sched_getscheduler(0) == os.SCHED_IDLE, os.nice(0), group.read_text().split()[-1] if group.exists() else 19)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, start_new_session=True
    )
    assert done.stdout.split() == ["True", "19", "19"]


def test_the_share_of_a_session_that_others_began_is_theirs(monkeypatch):
    """Who runs the program in a terminal, or in a test, is not slowed down with it."""
    written: list[str] = []
    monkeypatch.setattr("os.nice", lambda by: by)
    monkeypatch.setattr("os.sched_setscheduler", lambda *_: None)
    monkeypatch.setattr(Path, "write_text", lambda path, text, **_: written.append(f"{path} {text}"))
    for leader, told in ((1, []), (os.getpid(), ["/proc/self/autogroup 19"])):
        monkeypatch.setattr("os.getsid", lambda pid, leader=leader: leader)
        rest.yield_to_all()
        assert written == told


@pytest.mark.parametrize("mode", ["never", "needed", "all"])
def test_the_background_may_be_switched_off(mode, monkeypatch):
    """By any word of the variable."""
    begun: list[object] = []
    monkeypatch.setattr(background.subprocess, "Popen", lambda *_, **__: begun.append(1))
    monkeypatch.setattr(background, "_STARTED", set())
    ours = Library("ours", ("rt_native.histogram_native",))
    monkeypatch.setenv("RT_ENGINE_COMPILE", mode)
    background.start(ours)
    assert not begun
    monkeypatch.delenv("RT_ENGINE_COMPILE")
    background.start(ours)
    background.start(ours)
    assert len(begun) == 1, "once for each process"


def test_what_users_bring_is_not_compiled_in_the_background(make, monkeypatch):
    """A library with folders of its own: the program would not find them."""
    begun: list[object] = []
    monkeypatch.setattr(background, "start", lambda *_: begun.append(1))
    assert make().function("one")(1) == 2 and not begun


def test_the_background_compiles_the_rest_and_says_so(tmp_path, monkeypatch):
    """A program of its own; it ends with its starter, leaves nothing that hinders the next; what failed is told."""
    monkeypatch.setenv("RT_ENGINE_CACHE", str(tmp_path))
    monkeypatch.delenv("RT_ENGINE_COMPILE", raising=False)
    module = "rt_native.histogram_native"
    run = [sys.executable, "-m", "rt_native.rest", "", f"sample={module}"]
    with only_one(tmp_path / "background.lock"):
        rest._Told("sample").write(3, 7)
        assert (
            "the rest of 'sample' is compiled in the background, at the lowest priority: 3 of 7 done"
            in background.words()
        )
        waiting = subprocess.Popen(run, cwd=ROOT, env=os.environ, stdin=subprocess.PIPE, start_new_session=True)
        assert waiting.stdin
        waiting.stdin.close()  # as where who started it ends
        assert waiting.wait() == -signal.SIGKILL
    assert background.words() == ""
    with subprocess.Popen(run, cwd=ROOT, stdin=subprocess.PIPE) as compiles:
        assert compiles.wait() == 0
    assert Library("sample", (module,)).is_compiled() and background.words() == ""
    run[-1] = "sample=rt_native.nowhere"
    with subprocess.Popen(run, cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as fails:
        assert fails.wait() == 1
    assert background.words().startswith("compiling 'sample' in the background failed: ")
    assert Path(tmp_path / "background.json").exists()


class Stub:
    """A library of one module, of which nothing is compiled."""

    name, modules, path = "stub", ("gemm",), ("somewhere",)

    def objects(self):
        return {"gemm": cache_folder() / "gemm-1.o"}


def test_what_tasks_run_stays_loaded_when_its_whole_module_comes(tmp_path, monkeypatch):
    """An engine that nobody holds takes its code with it, under a task that runs it; and a module is loaded once."""
    monkeypatch.setenv("RT_ENGINE_CACHE", str(tmp_path))
    module, engines = tmp_path / "gemm-1.o", []
    have = {needed.piece(module, "old"): ({"old": 1}, b"piece")}
    monkeypatch.setattr(needed, "stored", have.get)
    monkeypatch.setattr(needed, "Engine", lambda contents: engines.extend(data for _, data in contents) or object())
    parts = Needed(Stub())
    have[parts._index] = ({}, json.dumps({"gemm": {"old": 1, "new": 1, "newer": 1}}).encode())
    parts.need(("old",))
    runs = parts._engines["old"]
    have[module] = ({"old": 1, "new": 1, "newer": 1}, b"whole")
    parts.need(("new", "newer"))
    assert parts._engines["old"] is runs
    assert engines == [b"piece", b"whole"] and parts._engines["new"] is parts._engines["newer"]


def test_another_word_is_refused(monkeypatch):
    """Nobody who writes `no` finds out in the machine that it compiles."""
    monkeypatch.setenv("RT_ENGINE_COMPILE", "no")
    with pytest.raises(BuildError, match="RT_ENGINE_COMPILE=no: it is never, needed, all, or not set"):
        background.mode()


def test_what_failed_says_why_and_is_forgotten_once_it_is_compiled(tmp_path, monkeypatch):
    """The last line is the compiler's reason; what is there now did not fail."""
    monkeypatch.setenv("RT_ENGINE_CACHE", str(tmp_path))
    monkeypatch.setattr(rest, "yield_to_all", lambda: None)
    monkeypatch.setattr(sys, "argv", ["rest", "", "sample=rt_native.nowhere"])
    monkeypatch.setattr(rest, "end_with_starter", lambda: None)

    def fails(*_, **__):
        raise BuildError(
            "'sample' could not be compiled for this machine:\nTraceback\nOSError: No space left on device"
        )

    monkeypatch.setattr(Library, "build", fails)
    with pytest.raises(BuildError):
        rest.main()
    assert background.words().endswith("could not be compiled for this machine: OSError: No space left on device")
    background.forget_failure("other")
    assert background.words()
    background.forget_failure("sample")
    assert background.words() == ""


@pytest.mark.parametrize(("taken", "left"), [("2,3", [{0, 1}]), ("", [{0, 1, 2}]), ("0,1,2", [])])
def test_cores_of_tasks_are_left_to_them(taken, left, monkeypatch):
    """Where there are others; else the compiler yields by its priority alone."""
    asked = []
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1, 2})
    monkeypatch.setattr("os.sched_setaffinity", lambda pid, cores: asked.append(cores))
    rest.stay_off(taken)
    assert asked == left
