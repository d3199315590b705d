import re

import pytest

from fieldbus.image.image import ProcessImage
from fieldbus.tags import Tag
from scheduler import Guard, Input, Output, Task
from scheduler.checks import check_task, check_together
from scheduler.errors import SchedulerError, TaskError
from tests.scheduler.fakes import FakeModel, channel, spec, step_of

X = channel(["a", "b"], "in")
Y = channel(["p", "q"], "out", low=-1.0, high=1.0)
MODEL = FakeModel([spec("x", 1, 4), spec("h", 2, dtype="float16")], [spec("y", 1, 2)], lambda i, o: 0)
FULL = (Output(tensor="y", channel=Y, count=2),)


def check(inputs=(), outputs=(), model=MODEL, **more):  # type: ignore[no-untyped-def]
    check_task(Task(name="t", period_s=0.001, inputs=inputs, outputs=outputs, **more), model)


def test_a_fitting_task_passes() -> None:
    """Inputs within the tensor, every output cell driven once: nothing to complain of."""
    check((Input(tensor="x", channel=X, count=2, window=2),), FULL)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (Input(tensor="z", channel=X), "input 0: the model has no tensor 'z'; it has x, h"),
        (Input(tensor="h", channel=X), "tensor 'h' is float16; a task converts float32"),
        (Input(tensor="x", channel=X, index=4), "element 4 of tensor 'x', which has 4"),
        (Input(tensor="x", channel=X, window=5), "element 4 of tensor 'x'"),
        (Input(tensor="x", channel=X, cell=1, count=2), "cells 1 to 2 of channel 'a/b', which has 2"),
        (Input(tensor="x", channel=X, cell=-1), "cell -1"),
        (Input(tensor="x", channel=X, count=0), "count 0"),
        (Input(tensor="x", channel=X, window=0), "window 0"),
        (Input(tensor="x", channel=X, stride=0), "stride 0"),
        (Input(tensor="x", channel=X, count=2, window=2, spacing=1), "spacing 1 at least count 2"),
        (Input(tensor="x", channel=X, scale=float("nan")), "must be finite"),
    ],
)
def test_wrong_input(inputs: Input, message: str) -> None:
    """An input that does not fit names the task, the entry, what it has and what there is."""
    with pytest.raises(TaskError, match="task 't', input 0") as error:
        check((inputs,))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (Output(tensor="z", channel=Y), "the model has no tensor 'z'; it has y"),
        (Output(tensor="y", channel=Y, index=2), "element 2 of tensor 'y', which has 2"),
        (Output(tensor="y", channel=Y, safe=2.0), "safe value 2.0 is not within low -1.0 and high 1.0"),
        (Output(tensor="y", channel=Y, low=1.0, high=0.0, safe=0.5), "safe value 0.5 is not within low 1.0"),
        (Output(tensor="y", channel=Y, max_rate=0.0), "max_rate 0.0 must be above 0"),
        (Output(tensor=None, channel=Y), "no step that could compute it"),
    ],
)
def test_wrong_output(output: Output, message: str) -> None:
    """An output that does not fit, likewise."""
    with pytest.raises(TaskError, match="task 't', output 0") as error:
        check((), (output,))
    assert message in str(error.value)


def test_element_filled_twice() -> None:
    """Two inputs may not fill the same element of a tensor."""
    inputs = (Input(tensor="x", channel=X, count=2), Input(tensor="x", channel=X, index=1))
    with pytest.raises(TaskError, match="element 1 of tensor 'x' is filled twice"):
        check(inputs)


@pytest.mark.parametrize("outputs", [(Output(tensor="y", channel=Y),), (*FULL, Output(tensor="y", channel=Y))])
def test_every_output_cell_has_one_driver(outputs: tuple[Output, ...]) -> None:
    """A cell that nobody drives, or two outputs do, is refused with its tag's name."""
    with pytest.raises(TaskError, match=r"cell \d \([pq]\) of output channel 'p/q' is driven by [02] outputs"):
        check((), outputs)


def test_tensor_without_a_model() -> None:
    """A task without a model has no tensors to name."""
    with pytest.raises(TaskError, match="the task has no model"):
        check((Input(tensor="x", channel=X),), model=None)
    with pytest.raises(TaskError, match="the task has no model"):
        check((), FULL, model=None)
    check(
        (Input(tensor=None, channel=X),),
        (Output(tensor=None, channel=Y, count=2),),
        model=None,
        step=step_of(lambda i, o, s: 0),
    )


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"period_s": 1e-6}, "period 1e-06 s is below"),
        ({"priority": 0}, "priority 0 is not in 1 to 99"),
        ({"watchdog": -1}, "watchdog -1 is negative"),
        ({"overrun": "burst"}, "overrun is 'burst'; it can be skip, hold, safe"),
        ({"guard": Guard(on_nan="zero")}, "guard.on_nan is 'zero'; it can be hold, safe, pass"),  # type: ignore[arg-type]
        ({"guard": Guard(on_bad_input="pass")}, "guard.on_bad_input is 'pass'"),  # type: ignore[arg-type]
        ({"guard": Guard(max_age_s=0.0)}, "max_age_s 0.0 must be above 0"),
    ],
)
def test_wrong_task(more: dict[str, object], message: str) -> None:
    """A task that contradicts itself is refused when it is described."""
    with pytest.raises(TaskError, match=re.escape(f"task 't': {message}")):
        Task(name="t", **{"period_s": 0.001, **more})  # type: ignore[arg-type]


def test_one_reader_and_one_writer_per_channel() -> None:
    """Two tasks may not read or write the same channel, nor have the same name."""
    one = Task(name="one", period_s=0.001, inputs=(Input(tensor="x", channel=X),), outputs=FULL)
    two = Task(name="two", period_s=0.001, inputs=(Input(tensor="x", channel=X),))
    three = Task(name="three", period_s=0.001, outputs=FULL)
    with pytest.raises(TaskError, match="channel 'a/b' is read by tasks 'one' and 'two'"):
        check_together([one, two])
    with pytest.raises(TaskError, match="channel 'p/q' is written by tasks 'one' and 'three'"):
        check_together([one, three])
    with pytest.raises(TaskError, match="different names"):
        check_together([one, one])
    check_together([two, three])
    check_together([])


def test_a_task_error_is_a_value_error_and_a_scheduler_error() -> None:
    """Both ways of catching it work."""
    assert issubclass(TaskError, ValueError)
    assert issubclass(TaskError, SchedulerError)


def test_limits_come_from_the_tag_of_the_cell() -> None:
    """The second tag of a channel limits the outputs on its cells."""
    tags = [Tag("p", "float64", "out"), Tag("q", "float64", "out", count=2, low=0.0, high=5.0, safe=1.0)]
    y = ProcessImage().channel("y", tags, writer="w", reader="r")
    outputs = (Output(tensor="y", channel=y), Output(tensor="y", channel=y, cell=1, count=2, safe=7.0))
    with pytest.raises(TaskError, match=r"output 1: the safe value 7\.0 is not within low 0\.0 and high 5\.0"):
        check((), outputs)
