"""Steps with arrays, in the real cycle on a clock of the test's own."""

from pathlib import Path

import pytest

from fieldbus.tags import Quality
from scheduler import Step, TaskStatus
from scheduler.errors import StepError
from tests.scheduler.fakes import PERIOD
from tests.scheduler.test_controllers import first, outputs_for, task_of

STEPS = str(Path(__file__).with_name("array_steps_native.py"))


def compiled(name: str, state_bytes: int = 0) -> Step:
    return Step.compile(f"{STEPS}:{name}", state_bytes)


def test_inputs_outputs_and_state_are_arrays() -> None:
    """Read, write, count from the end; the state stays, and is zero at the start."""
    b = task_of(compiled("smooth"), 2)
    assert first(outputs_for(b, [(9, 4), (9, 4), (9, 0)])) == [2.0, 3.0, 1.5]
    assert b.runner.memory._step_state.view("f8")[1] == 3


def test_a_step_says_how_much_state_it_wants() -> None:
    """And gets more when it is told more."""
    assert compiled("smooth").state_bytes == 16
    assert compiled("smooth", 64).state_bytes == 64
    assert compiled("total").state_bytes == 0


def test_arrays_have_a_length_and_numbers_become_floats() -> None:
    """len() of both; an int and a bool are stored as what they are."""
    assert outputs_for(task_of(compiled("total"), 3, 3), [(1, 2, 3), (4, 5, 6)]) == [[6, 3, 0], [15, 3, 1]]


def test_a_result_other_than_0_makes_outputs_safe() -> None:
    """For that cycle."""
    assert first(outputs_for(task_of(compiled("refuse"), safe=-1.0), [1, -1, 1])) == [1, -1, 1]


def test_the_cycle_says_its_time_and_what_was_published() -> None:
    """The first cycle, the next, one after bad input, one after two ticks that were missed."""
    b = task_of(compiled("times"), 1, 3, safe=5.0)

    def before(k: int) -> None:
        b.clock.latency_ns = 2 * PERIOD if k == 5 else 0
        b.put(0.0, quality=Quality.BAD if k in (2, 3) else Quality.GOOD)

    ticks = [list(map(float, tick.sample.values)) for tick in b.run(6, before)]
    assert ticks[0] == pytest.approx([0.001, 0.001, 105])
    assert ticks[1] == pytest.approx([0.001, 0.001, 0.001])
    assert ticks[2] == ticks[3] == [5, 5, 5]
    assert ticks[4] == pytest.approx([0.001, 0.003, 105])
    assert ticks[5] == pytest.approx([0.001, 0.003, 0.001])


@pytest.mark.parametrize("name", ["reads_beyond", "writes_beyond", "writes_before"])
def test_an_index_that_is_not_there_makes_outputs_safe(name: str) -> None:
    """No memory but its own is read or written."""
    b = task_of(compiled(name), safe=-1.0)
    (tick,) = b.run(1, lambda k: b.put(3.0))
    assert (tick.sample.values[0], tick.stats.status) == (-1.0, TaskStatus.STEP_FAILED)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("def f(inputs, outputs):\n    return 0", r"f\(2 arguments\): a step takes inputs, outputs, state"),
        ("def f(inputs, outputs, state):\n    inputs[0] = 1.0", "line 6: inputs can only be read"),
        ("def f(inputs, outputs, state):\n    return 0.5", "f: a step returns a whole number"),
        ("def f(inputs, outputs, state):\n    if inputs[0] < 0:\n        raise ValueError", "line 7 raises"),
        ("def f(inputs, outputs, state):\n    assert inputs[0] > 0", "line 6 raises, or asserts"),
    ],
)
def test_what_is_no_step_does_not_compile(tmp_path: Path, body: str, words: str) -> None:
    """Two arguments, inputs written, a result that is no status, an exception that nobody would catch."""
    (tmp_path / "no_step.py").write_text(f"from scheduler.step_lang import step\n\n\n@step\n{body}\n")
    with pytest.raises(StepError, match=rf"(?s)does not compile.*{words}"):
        Step.compile(f"{tmp_path / 'no_step.py'}:f")
