"""A test whose peer is missing is skipped with the command that helps, and fails with CI=true."""

import pytest

from tests import need

TEST = """\
import pytest
from tests import need

@pytest.mark.peer("mbpoll")
def test_marked():
    pass

def test_asking():
    need.program("socat")

def test_package():
    need.package("no_such.part")
"""


@pytest.mark.parametrize(
    ("ci", "outcomes"), [("", {"skipped": 3}), ("false", {"skipped": 3}), ("true", {"failed": 2, "errors": 1})]
)
def test_what_is_missing(pytester, monkeypatch, ci, outcomes):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CI", ci)
    pytester.makeconftest("from tests.conftest import pytest_runtest_setup")
    pytester.makeini("[pytest]\nmarkers = peer: x")
    pytester.makepyfile(TEST)
    done = pytester.runpytest("-rs")
    done.assert_outcomes(**outcomes)
    said = done.stdout.str()
    for help in ("apt-get install mbpoll", "apt-get install socat", "pip install no-such"):
        assert help in said


def test_what_the_gate_installs(monkeypatch, tmp_path):
    """All that is missing, and nothing that is there."""
    monkeypatch.setattr(need, "LIBMODBUS", (tmp_path / "modbus.h", "libmodbus-dev"))
    monkeypatch.setattr("shutil.which", lambda name: None if name == "socat" else f"/bin/{name}")
    assert need.missing() == ["socat", "libmodbus-dev"]
    (tmp_path / "modbus.h").touch()
    assert need.missing() == ["socat"]
