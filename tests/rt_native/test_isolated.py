"""Processes of ours run nothing of where somebody happens to stand, nor of where variables lead."""

import os
import re
import signal
import subprocess
import sys

import pytest

from rt_native import isolated
from rt_native.library import Library
from tests import ROOT

NAMES = ("json", "numpy", "numba", "llvmlite", "runpy", "sitecustomize", "usercustomize", "station", "rt_native")


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """A folder whose modules leave a file when they are run: the current one, and what all variables lead to."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    for name in NAMES:
        (folder / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write('{name} ')\n")
    monkeypatch.chdir(folder)
    for name in ("PYTHONPATH", "PYTHONUSERBASE"):
        monkeypatch.setenv(name, str(folder))
    monkeypatch.setenv("PYTHONSTARTUP", str(folder / "json.py"))
    monkeypatch.setenv("NUMBA_OPT", "no number")
    monkeypatch.syspath_prepend("")
    return tmp_path / "ran"


def test_compiling_runs_nothing_of_the_current_folder(hostile, tmp_path, monkeypatch):
    """A module of each name that compiling imports lies there: none is run, and the object is made."""
    monkeypatch.setenv("RT_ENGINE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "sample_native.py").write_text(
        "from rt_native.lang import export\n\n@export\ndef answer(x):\n    return x + 1\n"
    )
    assert Library("sample", ("sample_native",), path=(str(tmp_path),)).function("answer")(41) == 42
    assert not hostile.exists(), hostile.read_text()


def test_a_relative_cache_is_where_we_stand(tmp_path, monkeypatch):
    """The compiler stands elsewhere, and writes where it was said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RT_ENGINE_CACHE", "cache")
    (tmp_path / "sample_native.py").write_text(
        "from rt_native.lang import export\n\n@export\ndef answer(x):\n    return x\n"
    )
    [path] = Library("sample", ("sample_native",), path=(".",)).build().values()
    assert path.parent == tmp_path / "cache"


def test_a_command_of_ours_runs_nothing_of_the_current_folder(hostile):
    """What the demo starts: `station` is the package, whatever lies there."""
    command = isolated.command("station", "--help")
    done = subprocess.run(command, env=isolated.environment(), capture_output=True, text=True, check=True)
    assert "Usage: " in done.stdout
    assert not hostile.exists(), hostile.read_text()


def test_the_guard_sees_what_is_run(hostile):
    """The same folder, and an interpreter that is not alone: it does run what lies there."""
    environment = {**os.environ, "NUMBA_OPT": "3"}
    subprocess.run([sys.executable, "-c", "import json"], env=environment, check=False, capture_output=True)
    assert "json" in hostile.read_text()


def test_modules_that_a_step_imports_are_its_own(tmp_path, monkeypatch):
    """What lies beside a step is found, also under the name of a module that is installed; what it does not import is not."""
    monkeypatch.setenv("RT_ENGINE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "sample_native.py").write_text(
        "from rt_native.lang import export\nfrom pluggy import twice\nfrom parts.more import thrice\n\n"
        "@export\ndef answer(x):\n    return twice(x) + thrice(x)\n"
    )
    (tmp_path / "parts").mkdir()
    for name, function in (("pluggy", "twice"), ("parts/more", "thrice")):
        times = {"twice": 2, "thrice": 3}[function]
        (tmp_path / f"{name}.py").write_text(
            f"from rt_native.lang import inline\n\n@inline\ndef {function}(x):\n    return {times} * x\n"
        )
    (tmp_path / "numpy.py").write_text("raise SystemExit('never imported')\n")
    assert Library("sample", ("sample_native",), path=(str(tmp_path),)).function("answer")(10) == 50


STARTER = """
import subprocess, sys
from rt_native import isolated
child = subprocess.Popen(isolated.bound_program(("sleep", "600"), {number}))
print(child.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_bound_program_ends_with_who_started_it(number):
    """Also where that one had no time to end anything. Our pipe closes when the last of both is gone."""
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER.format(number=number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    child = int(starter.stdout.readline())
    os.kill(child, 0)
    starter.kill()
    assert starter.communicate(timeout=60)[0] == b""


def test_a_program_is_not_begun_whose_starter_has_ended():
    """It ended while its interpreter began: no signal will come."""
    words = isolated.command("station", "--help", bound=signal.SIGTERM)
    words[-3] = "1:15"
    done = subprocess.run(words, env=isolated.environment(), capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, b"")


OUTLIVES = {"benchmarks/soak/stations.py"}
"""Stations of the soak are started in threads that end."""


@pytest.mark.parametrize(
    "package", ["rt_native", "rt_engine", "fieldbus", "scheduler", "plc_bindings", "station", "benchmarks"]
)
def test_what_is_started_and_not_waited_for_is_bound(package):
    """None of our programs is left when the one that started it is killed."""
    for path in (ROOT / package).rglob("*.py"):
        text = path.read_text()
        starts = len(
            re.findall(
                r"= subprocess\.Popen\(|return subprocess\.Popen\(|with subprocess\.Popen\(|create_subprocess_exec\(",
                text,
            )
        )
        if starts and str(path.relative_to(ROOT)) not in OUTLIVES:
            assert len(re.findall(r"bound_program\(|bound=signal\.", text)) >= starts, path


ITSELF = re.compile(
    r"os\.execv\(sys\.executable, \[sys\.executable, .*sys\.orig_argv\[1:\]\]\)|Path\(sys\.executable\)"
)
"""Goes on as what it was, or names the file and starts nothing."""


@pytest.mark.parametrize("package", ["rt_native", "rt_engine", "fieldbus", "scheduler", "plc_bindings", "station"])
def test_processes_are_started_by_isolated_alone(package):
    """Whoever starts an interpreter does so by `rt_native.isolated`, or says -I himself."""
    for path in (ROOT / package).rglob("*.py"):
        text = ITSELF.sub("", path.read_text())
        if "sys.executable" in text and path.name != "isolated.py":
            assert '"-m"' not in text and text.count("sys.executable") == text.count('"-I"'), path
