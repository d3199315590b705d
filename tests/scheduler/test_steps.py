import ctypes
from pathlib import Path

import pytest

from scheduler import Input, Output, Scheduler, Step, Task
from scheduler.errors import StepError
from tests.scheduler.fakes import ANY_AGE, channel
from tests.scheduler.test_scheduler import wait_for

STEPS = str(Path(__file__).with_name("step_native.py"))


def test_compiled_step_runs_in_the_cycle() -> None:
    """A step written in Python, compiled once, turns the sign of the outputs of every cycle."""
    from tests.scheduler.models import scale

    x, y = channel(["x"], "in"), channel(["y"], "out")
    x.write([4.0])
    task = Task(
        name="t",
        model=scale(2),
        period_s=0.001,
        inputs=(Input(tensor="x", channel=x),),
        outputs=(Output(tensor="y", channel=y),),
        guard=ANY_AGE,
        step=Step.compile(f"{STEPS}:negate"),
    )
    with Scheduler([task]):
        wait_for(lambda: y.read().values[0] == -8)


def test_library_step_has_the_symbols_address() -> None:
    """A function of a shared library is called at its own address."""
    step = Step.from_library("libc.so.6", "labs")
    assert step.address == ctypes.cast(ctypes.CDLL("libc.so.6").labs, ctypes.c_void_p).value
    assert step.name == "libc.so.6:labs"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Step.from_library("/nowhere/lib.so", "f"), "'f' of /nowhere/lib.so"),
        (lambda: Step.from_library("libc.so.6", "no_such_symbol"), "no_such_symbol"),
        (lambda: Step.compile("/nowhere/a.py:f"), "expected 'FILE.py:FUNCTION'"),
        (lambda: Step.compile(STEPS), "expected 'FILE.py:FUNCTION'"),
        (lambda: Step.compile(f"{STEPS}:too_few"), r"with 5 arguments.*too_few\(2 arguments\)"),
        (lambda: Step.compile(f"{STEPS}:absent"), "exports negate"),
        (lambda: Step.from_address(0), "0 is not an address"),
    ],
)
def test_a_step_that_cannot_be_used_says_why(make, message: str) -> None:  # type: ignore[no-untyped-def]
    """No such file, symbol or signature: an error that names what was asked and what there is."""
    with pytest.raises(StepError, match=message):
        make()


def test_a_step_that_does_not_compile_shows_the_compilers_words(tmp_path: Path) -> None:
    """A mistake in the user's function is reported with the function's name and the reason."""
    file = tmp_path / "broken_step.py"
    file.write_text(
        "from rt_native.lang import export\n\n\n@export\ndef oops(a, b, c, d, e):\n    return a.nonsense\n", "utf-8"
    )
    with pytest.raises(StepError, match=r"(?s)does not compile.*oops.*nonsense"):
        Step.compile(f"{file}:oops")


@pytest.mark.parametrize("make", [lambda p: Step.compile(f"{p}:f"), lambda p: Step.from_library(p, "f")])
def test_a_step_that_everybody_may_write_is_not_run(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Whoever changed it would act as the user of the station; the message has the command that mends it."""
    file = tmp_path / "step.py"
    file.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n", "utf-8")
    file.chmod(0o666)
    with pytest.raises(StepError, match=f"step.*not run.*chmod go-w {file}"):
        make(file)
    assert not (tmp_path / "ran").exists()


def test_what_a_step_imports_is_looked_at_like_the_step(tmp_path: Path) -> None:
    """A file beside it becomes part of what runs: one that everybody may write is not run either."""
    (tmp_path / "helper.py").write_text(
        "from rt_native.lang import inline\n\n@inline\ndef twice(x):\n    return 2.0 * x\n"
    )
    file = tmp_path / "uses.py"
    file.write_text("from rt_native.lang import export\nfrom helper import twice\n")
    (tmp_path / "helper.py").chmod(0o666)
    with pytest.raises(StepError, match=f"not run.*chmod go-w {tmp_path / 'helper.py'}"):
        Step.compile(f"{file}:uses")
