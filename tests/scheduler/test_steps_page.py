"""docs/steps.md says what is so: its station is good, its functions compile and do what they say."""

import re
from pathlib import Path

import pytest

from scheduler import Step
from station.file.reading import read_station
from station.terms.steps import STEP_TABLES
from station.wiring.parts import build
from tests import ROOT
from tests.scheduler.test_controllers import first, outputs_for, task_of

PAGE = (ROOT / "docs" / "steps.md").read_text()
TOML, OWN, PYTHON = (re.findall(rf"```{name}\n(.*?)```", PAGE, re.S) for name in ("toml", "python", "python"))


@pytest.fixture
def own(tmp_path: Path) -> str:
    """The page's own steps, as a file."""
    (tmp_path / "soften.py").write_text(OWN[0])
    return str(tmp_path / "soften.py")


def test_the_station_of_the_page_is_good(tmp_path: Path) -> None:
    """No error, no warning, and each task has its ready step."""
    (tmp_path / "station.toml").write_text(TOML[0])
    file = read_station(tmp_path / "station.toml")
    assert file.warnings == ()
    assert [task.step.name for task in build(file).tasks if task.step] == ["pid", "ramp", "two-point", "linear"]


def test_the_page_names_every_ready_step() -> None:
    """A row of the table for each type."""
    kinds = {table.model_fields["type"].annotation.__args__[0] for table in STEP_TABLES} - {"function"}
    assert set(re.findall(r"^\| `([\w-]+)` \|", PAGE, re.M)) == kinds


def test_the_pages_own_steps_do_what_they_say(own: str) -> None:
    """A filter, a mean, a counter of hours that fails below 0."""
    b = task_of(Step.compile(f"{own}:smooth"), 3)
    assert first(outputs_for(b, [(0, 0, 10), (0, 0, 10)])) == pytest.approx([1.0, 1.9])
    b = task_of(Step.compile(f"{own}:mix"), 3, 2)
    assert outputs_for(b, [(1, 2, 6)]) == [[3.0, -2.0]]
    b = task_of(Step.compile(f"{own}:count_hours"), safe=0.5)
    hours = first(outputs_for(b, [5.0, 20.0, -1.0, 20.0]))
    assert [(hour - 0.5) * 3600 for hour in hours] == pytest.approx([0, 0.001, 0, 0.001])


def test_the_call_from_python_runs() -> None:
    """The last block."""
    names: dict[str, object] = {}
    exec(compile(PYTHON[1], "docs/steps.md", "exec"), names)
    assert isinstance(names["step"], Step)
