"""What a second version of a model has to keep to, by the names of a task's outputs."""

import math

import pytest

from fieldbus.image.image import ProcessImage
from fieldbus.tags import Tag
from scheduler import Output, Task
from scheduler.errors import SchedulerError
from scheduler.second import Terms
from scheduler.watch import by_name, check_terms, names_of, tags_of
from tests.scheduler.models import scale

TAGS = [Tag("leg", "float64", "out", count=2), Tag("force", "float64", "out")]
CHANNEL = ProcessImage().channel("out", TAGS, writer="t", reader="link")
OUTPUTS = (Output(tensor="y", channel=CHANNEL, count=2), Output(tensor="y", channel=CHANNEL, index=2, cell=2))


def test_each_value_of_a_tag_with_several_has_a_name():
    assert names_of(OUTPUTS) == ["leg[0]", "leg[1]", "force"]
    assert tags_of(OUTPUTS) == ["leg", "leg", "force"]


def test_a_number_may_be_a_tags_or_one_values():
    names, tags = names_of(OUTPUTS), tags_of(OUTPUTS)
    assert list(by_name({"leg": 1.0, "leg[1]": 2.0}, names, tags, math.inf)) == [1.0, 2.0, math.inf]
    assert list(by_name(0.5, names, tags, math.inf)) == [0.5] * 3


def test_terms_that_name_an_output_that_there_is_not_are_refused():
    task = Task(name="t", model=scale(1.0, 3), period_s=0.001, outputs=OUTPUTS)
    check_terms(task, Terms(low={"leg": 0.0, "force": 0.0}, tolerance={"leg[1]": 1.0}))
    with pytest.raises(SchedulerError, match=r"high names 'leg\[2\]'; its outputs are 'leg\[0\]', 'leg\[1\]', 'force'"):
        check_terms(task, Terms(high={"leg[2]": 1.0}))
