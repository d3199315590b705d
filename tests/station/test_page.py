"""docs/station.md says what is so."""

import re
from pathlib import Path

import pytest

from rt_engine.contract import Contract, Element, TensorContract, attach
from station.errors import ExitCode
from station.file.reading import read_station
from station.file.schema import reference_text
from station.machine.service import Service
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


def test_the_example_with_a_contract_is_good(folder):
    """It is wired by name, in the contract's units."""
    legs = tuple(Element(f"leg[{i}]", "rad", low=-3.0, high=3.0) for i in range(3))
    x = TensorContract("x", (*legs, Element("speed", "m/s", low=0.0, high=9.0)))
    y = TensorContract("y", (Element("force", "N", low=-10.0, high=10.0),))
    attach(gemm(folder / "policy.onnx", 4), Contract((x,), (y,), rate_hz=50.0))
    (block,) = [block for block in BLOCKS if 'outputs = "contract"' in block]
    assert [tag.tag for tag in read(folder, block).config.tasks["walk"].inputs] == ["leg", "v_belt"]
    assert build(read(folder, block)).warnings == ()


def test_the_tables_of_keys_are_up_to_date():
    """The page ends with what `rt-engine schema --markdown` prints."""
    assert PAGE.endswith(reference_text())


def test_the_exit_codes_are_all_there():
    """Each exit code has its row."""
    assert [int(code) for code in re.findall(r"^\| (\d) \|", PAGE, re.MULTILINE)] == [int(code) for code in ExitCode]


def test_what_a_service_is_made_of():
    """Each place that `rt-engine service install` fills is on the page."""
    made = Service("NAME", Path("/opt/station.toml"), Path("/opt/rt-engine"), "USER")
    for path in (*made.files(), made.cache, Path("/run/rt-engine-NAME"), Path("/var/lib/rt-engine/NAME")):
        assert f"| `{path}` |" in PAGE
    for directory in ("RuntimeDirectory=rt-engine-NAME", "StateDirectory=rt-engine/NAME"):
        assert f"\n{directory}\n" in made.text()


PACKAGES = ("rt_native", "rt_engine", "fieldbus", "scheduler", "plc_bindings", "station")
OF_THE_COMPILER = {
    "RT_NATIVE_LANES",
    "RT_NATIVE_FEATURES",
    "RT_NATIVE_ARITHMETIC",
    "NUMBA_CPU_NAME",
    "NUMBA_CPU_FEATURES",
    "NUMBA_OPT",
}


def variables(text):
    """Names of variables that a source reads."""
    found = re.findall(r"""(?:environ(?:\.get\(|\.pop\(|\[)|getenv\()\s*["'](\w+)["']""", text)
    return set(found + re.findall(r"""["'](\w+)["'] (?:not )?in os\.environ""", text))


def test_every_variable_is_on_the_page():
    """What the packages read of the environment is what the table says, and nothing else; none is read by a computed name."""
    texts = [path.read_text() for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert not any(re.search(r"""(?:environ(?:\.get\(|\.pop\(|\[)|getenv\()\s*[^"'\s]""", text) for text in texts)
    read_ones = set().union(*map(variables, texts)) - OF_THE_COMPILER
    table = PAGE.split("### Variables")[1].split("## All keys")[0]
    told = {name for row in re.findall(r"^\| (`.*?) \|", table, re.M) for name in re.findall(r"`(\w+)`", row)}
    assert read_ones == told


@pytest.mark.parametrize(
    "text",
    [
        'os.environ.get("NAME")',
        'os.environ["NAME"]',
        "os.getenv('NAME', '')",
        'os.environ.get(\n    "NAME", "x")',
        '"NAME" in os.environ',
    ],
)
def test_how_a_variable_is_found(text):
    """The forms that are found."""
    assert variables(text) == {"NAME"}


def test_a_device_in_python_needs_every_input_and_no_address(folder):
    """What the page says of a dry run: tags without addresses are good."""
    text = re.sub(r"\[links\.plant\].*?(?=\[tags\])", BLOCKS[2] + 'timeout = "50 ms"\n\n', BLOCKS[0], flags=re.DOTALL)
    text = re.sub(r'address = "[^"]*",? ?', "", text)
    assert read(folder, text).warnings == ()
