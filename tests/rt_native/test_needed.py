"""Large libraries: an export is compiled when it is asked for; the rest in the background, which yields to everything."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from select import select
from types import SimpleNamespace

import pytest

from rt_native import background, needed, rest
from rt_native.cache import cache_folder, only_one
from rt_native.errors import BuildError, NotBuiltError
from rt_native.library import Library
from rt_native.needed import Needed
from tests import ROOT
from tests.waiting import PATIENCE_S, wait_for

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
    monkeypatch.setattr(background, "Thread", lambda **_: SimpleNamespace(start=lambda: begun.append(1)))
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
    """A program of its own; one that is killed leaves nothing that hinders the next; what failed is told."""
    monkeypatch.setenv("RT_ENGINE_CACHE", str(tmp_path))
    monkeypatch.delenv("RT_ENGINE_COMPILE", raising=False)
    module = "rt_native.histogram_native"
    soon = "from rt_native import rest; rest.yield_to_all = lambda: None; rest.main()"  # a busy machine may never come to it
    run = [sys.executable, "-c", soon, "", f"sample={module}"]
    with only_one(tmp_path / "background.lock"):
        rest._Told("sample").write(3, 7)
        assert (
            "the rest of 'sample' is compiled in the background, at the lowest priority: 3 of 7 done"
            in background.words()
        )
        with subprocess.Popen(run, cwd=ROOT) as waiting:
            waiting.kill()
    assert background.words() == ""
    subprocess.run(run, cwd=ROOT, check=True)
    assert Library("sample", (module,)).is_compiled() and background.words() == ""
    run[-1] = "sample=rt_native.nowhere"
    assert subprocess.run(run, cwd=ROOT, stderr=subprocess.DEVNULL, check=False).returncode == 1
    assert background.words().startswith("compiling 'sample' in the background failed: ")
    assert Path(tmp_path / "background.json").exists()


STARTER = """
import os, sys
from rt_native import background, isolated
from rt_native.library import Library
command = isolated.command
isolated.command = lambda *_, bound=0, **__: command("rt_native.program", "sh", "-c", sys.argv[1], bound=bound)
background.start(Library("ours", ("rt_native.histogram_native",)))
sys.stdin.readline()
if os.fork():
    print("forked", flush=True)
sys.stdin.read()
"""
"""Starts a shell in place of the compiler; on a line, forks a child that lasts as long as our pipe."""


def test_the_background_ends_with_its_starter_whatever_children_that_has(tmp_path):
    """A child of the starter has all that the starter had open; our other pipe closes when the last of the compiler is gone."""
    os.mkfifo(tmp_path / "told")
    run = [sys.executable, "-c", STARTER, f"exec > '{tmp_path}/told'; echo begun; exec sleep 600"]
    environment = {name: value for name, value in os.environ.items() if name != "RT_ENGINE_COMPILE"}
    with subprocess.Popen(run, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as starter:
        with (tmp_path / "told").open("rb", buffering=0) as told:
            assert told.readline() == b"begun\n"
            starter.stdin.write(b"\n")
            starter.stdin.flush()
            assert starter.stdout.readline() == b"forked\n"
            starter.kill()
            assert select([told], [], [], PATIENCE_S)[0] and told.read() == b""
        starter.stdin.close()  # the child ends


def test_no_thread_for_the_background_is_no_error(monkeypatch):
    """Everything that is needed is compiled by then; a station that may have no more threads would not start."""

    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Thread.start", refuse)
    monkeypatch.setattr(background, "_STARTED", set())
    monkeypatch.delenv("RT_ENGINE_COMPILE", raising=False)
    background.start(Library("ours", ("rt_native.histogram_native",)))


def test_a_background_that_has_ended_is_gone(tmp_path, monkeypatch):
    """A station runs for months: its table of processes keeps nothing of what it compiled."""
    path = tmp_path / "number"
    monkeypatch.setattr(background.isolated, "command", lambda *_, **__: ["sh", "-c", f"echo $$ > {path}"])
    monkeypatch.setattr(background, "_STARTED", set())
    monkeypatch.delenv("RT_ENGINE_COMPILE", raising=False)
    background.start(Library("ours", ("rt_native.histogram_native",)))
    wait_for(lambda: path.exists() and path.read_text().endswith("\n"))
    wait_for(lambda: not Path(f"/proc/{int(path.read_text())}").exists())


def test_pieces_that_another_process_is_writing_are_left_to_it(tmp_path):
    """It would miss them when it gives them their name; those that have one are removed, of this module alone."""
    for name in ("gemm-1.old.o", "gemm-1.old.json", "gemm-1.new.4711", "gemm-1.o", "gemm-12.old.o"):
        (tmp_path / name).touch()
    needed.forget_pieces([tmp_path / "gemm-1.o"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gemm-1.new.4711", "gemm-1.o", "gemm-12.old.o"]


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


def test_a_module_that_comes_while_its_piece_is_looked_for_is_found(tmp_path, monkeypatch):
    """Whoever compiles all writes the module between our two looks, and removes the piece."""
    monkeypatch.setenv("RT_ENGINE_CACHE", str(tmp_path))
    module, whole = tmp_path / "gemm-1.o", ({"old": 1}, b"whole")
    looks = {module: [None, whole], needed.piece(module, "old"): [None]}
    monkeypatch.setattr(needed, "stored", lambda path: looks[path].pop(0) if path in looks else index)
    index = ({}, json.dumps({"gemm": {"old": 1}}).encode())
    monkeypatch.setattr(needed, "Engine", lambda contents: [data for _, data in contents])
    parts = Needed(Stub())
    parts.need(("old",))
    assert parts._engines["old"] == [b"whole"]
    looks = {module: [None, whole], needed.piece(module, "old"): [None]}
    assert parts.pieces(("old",)) == {"gemm.o": whole}


def test_a_module_that_comes_between_two_of_its_pieces_has_both(tmp_path, monkeypatch):
    """One was found alone before: to a linker its export would be defined twice."""
    monkeypatch.setenv("RT_ENGINE_CACHE", str(tmp_path))
    module, whole = tmp_path / "gemm-1.o", ({"old": 1, "new": 1}, b"whole")
    have = {needed.piece(module, name): ({name: 1}, b"piece") for name in ("old", "new")}
    monkeypatch.setattr(needed, "stored", have.get)
    monkeypatch.setattr(needed, "Engine", lambda contents: [data for _, data in contents])
    parts = Needed(Stub())
    have[parts._index] = ({}, json.dumps({"gemm": {"old": 1, "new": 1}}).encode())
    assert parts.pieces(("old", "new")).keys() == {"old.o", "new.o"}
    looks = [None, have[needed.piece(module, "old")], whole]
    monkeypatch.setattr(needed, "stored", lambda _: looks.pop(0))
    assert parts.pieces(("old", "new")) == {"gemm.o": whole}


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
