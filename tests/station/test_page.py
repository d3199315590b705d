"""docs/station.md says what is so."""

import re
from configparser import ConfigParser
from pathlib import Path

import pytest
import typer

from station.cli import app
from station.errors import ExitCode
from station.file.reading import read_station
from station.file.schema import reference_text
from station.wiring.parts import build
from tests import ROOT
from tests.station.stations import gemm

PAGE = (ROOT / "docs" / "station.md").read_text()
BLOCKS = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def folder(tmp_path):
    """The files that the examples name."""
    gemm(tmp_path / "policy.onnx", 2)
    gemm(tmp_path / "anomaly.onnx", 100)
    (tmp_path / "plant.py").write_text("def device(outputs):\n    return {}\n")
    return tmp_path


def read(folder, text):
    (folder / "station.toml").write_text(text)
    return read_station(folder / "station.toml")


def test_the_complete_example_is_good(folder):
    """The example is a station without an error or a warning, and can be built."""
    file = read(folder, BLOCKS[0])
    assert file.warnings == ()
    parts = build(file)
    assert [task.name for task in parts.tasks] == ["axis_x", "axis_y", "watch"]
    assert parts.tasks[0].model is parts.tasks[1].model


def test_the_woven_window_fits(folder):
    """The snippet for models of [samples, features] fills such a model."""
    example = BLOCKS[0][: BLOCKS[0].index("[tasks.axis_x]")]
    snippet = BLOCKS[1].replace('"a"', '"x_position"').replace('"b"', '"y_position"')
    file = read(folder, f'{example}[tasks.watch]\nmodel = "anomaly"\ncycle = "20 ms"\n{snippet}')
    (task,) = build(file).tasks
    assert [(entry.index, entry.spacing) for entry in task.inputs] == [(0, 2), (1, 2)]


def test_the_dry_run_is_good(folder):
    """The example runs without a device when its link is replaced by the in-process one."""
    text = re.sub(r"\[links\.plant\].*?(?=\[tags\])", BLOCKS[2] + 'timeout = "50 ms"\n\n', BLOCKS[0], flags=re.DOTALL)
    assert type(build(read(folder, text)).links["plant"]).__name__ == "InProcessLink"


def test_the_tables_of_keys_are_up_to_date():
    """The page ends with what `rt-engine schema --markdown` prints."""
    assert PAGE.endswith(reference_text())


def test_the_exit_codes_are_all_there():
    """Each exit code has its row."""
    assert [int(code) for code in re.findall(r"^\| (\d) \|", PAGE, re.MULTILINE)] == [int(code) for code in ExitCode]


def test_the_unit_for_systemd(folder):
    """It parses, grants both rights, and its command is one that there is, with exit codes that mean what it says."""
    unit = ConfigParser(strict=True)
    unit.optionxform = str
    unit.read_string(re.search(r"```ini\n(.*?)```", PAGE, re.DOTALL)[1])
    service = unit["Service"]
    assert (service["LimitRTPRIO"], service["LimitMEMLOCK"]) == ("99", "infinity")
    assert (service["KillSignal"], service["Restart"]) == ("SIGTERM", "on-failure")
    assert service["RestartPreventExitStatus"].split() == [str(int(c)) for c in (ExitCode.USAGE, ExitCode.BAD_FILE)]
    program, command, _ = service["ExecStart"].split()
    assert Path(program).name == "rt-engine"
    assert command in typer.main.get_command(app).commands
    assert unit["Install"]["WantedBy"] == "multi-user.target"


def test_a_device_in_python_needs_every_input_and_no_address(folder):
    """What the page says of a dry run: tags without addresses are good."""
    text = re.sub(r"\[links\.plant\].*?(?=\[tags\])", BLOCKS[2] + 'timeout = "50 ms"\n\n', BLOCKS[0], flags=re.DOTALL)
    text = re.sub(r'address = "[^"]*",? ?', "", text)
    assert read(folder, text).warnings == ()
