"""What is known of a task's outputs."""

import pytest

from rt_engine.contract import Contract, Element, TensorContract
from scheduler import Input, Output, Task
from scheduler.errors import ReplayError
from station.replay.outputs import outputs_of
from tests.scheduler.fakes import channel
from tests.scheduler.models import scale

X, Y = channel(["a", "b", "c"], "in"), channel(["p", "q", "r"], "out")
CONTRACT = Contract(
    inputs=(TensorContract("x", tuple(Element(name) for name in "abc")),),
    outputs=(TensorContract("y", tuple(Element(name, low=-i, high=i) for i, name in enumerate("uvw", 1))),),
)


def task(step=None):
    return Task(
        name="t",
        model=scale(2.0, 3),
        period_s=0.001,
        inputs=(Input(tensor="x", channel=X, count=3),),
        outputs=(
            Output(tensor="y", channel=Y, count=2, low=-5.0, high=5.0),
            Output(tensor="y", channel=Y, cell=2, index=2, scale=10.0),
        ),
        step=step,
    )


def test_names_limits_and_tolerances_of_each_value():
    """The guard's limits, and the contract's as the task scales them; a tolerance of its own comes before that of all."""
    p, q, r = outputs_of(task(), CONTRACT, 0.5, {"r": 2.0})
    assert [one.name for one in (p, q, r)] == ["p", "q", "r"]
    assert (p.low, q.high) == (-5.0, 5.0)
    assert r.most == pytest.approx(30.0, rel=1e-5)
    assert [one.tolerance for one in (p, q, r)] == [0.5, 0.5, 2.0]


def test_behind_a_step_the_contract_limits_nothing():
    """What the step made of the model's outputs is no matter of the contract."""
    assert all(one.most == float("inf") for one in outputs_of(task(step=object()), CONTRACT, None, {}))


def test_a_tolerance_of_no_output_is_refused():
    with pytest.raises(ReplayError, match='unknown output "force"; allowed: p, q, r'):
        outputs_of(task(), None, None, {"force": 1.0})
