"""One program compiles for several libraries: what it does not have is another's, and what went wrong is told to who asked."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from rt_native import programs
from rt_native.errors import BuildError
from rt_native.library import Library
from rt_native.programs import together
from rt_native.progress import UNDONE
from tests.waiting import wait_for

HISTOGRAM, SLOT = "rt_native.histogram_native", "rt_engine.run.slot_native"


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """Names of the programs that were started; the cache is empty."""
    monkeypatch.setenv("RT_ENGINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RT_ENGINE_COMPILE", "needed")
    started, names = programs._started, []
    monkeypatch.setattr(programs, "_started", lambda name: names.append(name) or started(name))
    return names


def everything(*libraries):
    """A job of all of them."""
    jobs = [library.job(library.objects()) for library in libraries]
    return {**jobs[0], "outputs": {module: path for job in jobs for module, path in job["outputs"].items()}}


def test_libraries_are_compiled_by_one_program_with_one_bar(begun, tmp_path):
    """Whole ones, and exports of others; one of a user's beside them by its own."""
    whole, apart, told = Library("whole", (HISTOGRAM,)), Library("apart", (SLOT,), apart=True), []
    (tmp_path / "step_native.py").write_text(
        "from rt_native.lang import export\n@export\ndef one(x):\n    return x + 1\n"
    )
    with together("both", everything(whole, apart), lambda *how_far: told.append(how_far)):
        assert begun == [], "it is started for the first job"
        whole.build()
        apart.need(("slot_pick",))
        assert Library("step", ("step_native",), path=(str(tmp_path),)).function("one")(2) == 3
    assert begun == ["rt_native.build_together", "rt_native.build"]
    assert whole.is_compiled() and apart.address("slot_pick")
    assert {name for name, _, _ in told} == {"both"}
    assert told[0] == ("both", 0, 0), "it is shown before anything is known"
    assert told[-1][1] == told[-1][2] and all(done < total or not total for _, done, total in told[:-1])


def test_what_goes_wrong_is_told_and_the_next_job_is_done(begun, tmp_path):
    whole = Library("whole", (HISTOGRAM,))
    nowhere = {**everything(whole), "outputs": {HISTOGRAM: str(tmp_path / "no" / "folder.o")}}
    with together("one", nowhere, lambda *_: None):
        for _ in range(2):
            assert "No such file or directory" in str(programs.run("rt_native.build", nowhere, lambda *_: None))
    assert begun == ["rt_native.build_together"]


def test_a_compiler_that_ends_is_no_job_that_hangs(begun, monkeypatch):
    """Out of memory, say: its last words are told, for this job and for the next."""
    program = [sys.executable, "-c", "print('Killed')"]
    monkeypatch.setattr(programs.isolated, "command", lambda *_, **__: program)
    whole = Library("whole", (HISTOGRAM,))
    with together("one", everything(whole), lambda *_: None):
        for _ in range(2):
            with pytest.raises(BuildError, match=r"'whole' could not be compiled for .*\nKilled"):
                whole.build()


def test_who_waits_is_told_where_the_bar_cannot_be_shown(begun):
    """Standard error is a pipe that was closed, or a file on a full disk."""

    def closed(*_):
        raise BrokenPipeError("Broken pipe")

    whole, told = Library("whole", (HISTOGRAM,)), []

    def ask():
        with together("one", everything(whole), closed):
            for _ in range(2):
                with pytest.raises(BuildError) as refusal:
                    whole.build()
                told.append(str(refusal.value).splitlines()[-1])

    with pytest.raises(BrokenPipeError):
        ask()
    assert told == ["how far it is could not be shown: BrokenPipeError: Broken pipe"] * 2


def test_words_that_begin_with_a_number_are_no_answer(begun, monkeypatch):
    """A library's warning, say."""
    answers = "input(); input(); print('0 warnings'); print('0 .'); print('0 .')"  # once it has the job
    program = [sys.executable, "-c", answers]
    monkeypatch.setattr(programs.isolated, "command", lambda *_, **__: program)
    whole = Library("whole", (HISTOGRAM,))
    with together("one", everything(whole), lambda *_: None):
        with pytest.raises(BuildError, match="an object is missing"):
            whole.build()
        with pytest.raises(BuildError, match=r"0 warnings\n0 \."):
            whole.build()


def test_a_disk_that_is_full_when_one_function_is_written_is_told_in_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("RT_ENGINE_CACHE", str(tmp_path))
    why = programs._why(["Traceback\n", "slot_pick: OSError: [Errno 28] No space left on device\n"], 1)
    assert why == f"it cannot be written to {tmp_path}: [Errno 28] No space left on device"


def test_nothing_is_started_where_nothing_is_asked(begun):
    with together("one", everything(Library("whole", (HISTOGRAM,))), lambda *_: pytest.fail("nothing to tell")):
        pass
    assert begun == [] and not programs._OPEN


def test_who_gives_up_waits_for_nothing(begun, monkeypatch):
    """Ctrl-C while a compiler goes that would go for a minute: it is ended, and the bar does not say that all is done."""
    program = [sys.executable, "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr(programs.isolated, "command", lambda *_, **__: program)
    whole, told = Library("whole", (HISTOGRAM,)), []
    bar = together("one", everything(whole), lambda *how_far: told.append(how_far))
    with pytest.raises(KeyboardInterrupt), ThreadPoolExecutor() as pool, bar:  # noqa: PT012
        job = pool.submit(whole.build)
        wait_for(lambda: programs._OPEN[0]._waiting)
        raise KeyboardInterrupt
    assert told == [("one", 0, 0), ("one", UNDONE, UNDONE)]
    with pytest.raises(BuildError, match="could not be compiled"):
        job.result()


def test_a_bar_ends_with_a_compiler_that_fails(begun, monkeypatch):
    monkeypatch.setattr(programs.isolated, "command", lambda *_, **__: [sys.executable, "-c", "print(1); exit(1)"])
    told = []
    with pytest.raises(BuildError):
        Library("whole", (HISTOGRAM,)).build(lambda *how_far: told.append(how_far))
    assert told == [("whole", 0, UNDONE)]
