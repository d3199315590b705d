"""A wheel with native libraries, in an environment without Numba and LLVM: everything works, nothing is ever compiled.

    objects of this machine in the cache --station.wheels--> a wheel with one level --> an environment of its own

The environment has the dependencies of the one that the tests run in, but no compiler, and tells of every process that is started.
"""

import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from rt_native.features import host_architecture, host_features
from rt_native.levels import fitting
from rt_native.shipped import FOLDER
from station import wheels
from tests import ROOT
from tests.station.stations import write_station
from tests.test_wheel import DEPENDENCIES, PACKAGES, install

LEVEL = fitting(host_architecture(), host_features())[0].name
COMPILER = ("numba", "llvmlite")
pytestmark = [pytest.mark.slow, pytest.mark.peer("ld")]

MAKE = """
import sys
from dataclasses import replace
from pathlib import Path
from rt_native.levels import level
from rt_native.target import host
from station import wheels
wheels.make(Path(sys.argv[1]), [replace(level(sys.argv[2]), target=host())])
"""
"""In a process that has no test's libraries in it."""

WATCH = """
import os, sys
def told(event, arguments, log=os.environ.get("TOLD_TO")):
    if log and event in ("subprocess.Popen", "os.posix_spawn", "os.exec", "os.fork", "os.forkpty", "os.system"):
        with open(log, "a") as file:
            file.write(f"{event} {arguments}\\n")
sys.addaudithook(told)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """With the level of this machine alone."""
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-c", MAKE, folder, LEVEL], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The folder of a virtual environment with the wheel in it, and no compiler."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    site = next(folder.glob("lib/*/site-packages"))
    for path in (path for place in DEPENDENCIES for path in Path(place).iterdir()):
        if (
            not path.name.startswith((*COMPILER, "rt_engine", "__"))
            and path.suffix != ".pth"
            and not (site / path.name).exists()
        ):
            (site / path.name).symlink_to(path)
    (site / "watch.py").write_text(WATCH)
    (site / "watch.pth").write_text("import watch\n")
    install(wheel, folder)
    return folder


@pytest.fixture
def run(installed, tmp_path):
    """Run a program of the environment, in an empty folder; gives what it prints. It must end with `code`, and compile nothing."""
    log, cache = tmp_path.parent / f"{tmp_path.name}.told", tmp_path.parent / f"{tmp_path.name}.cache"

    def run(program: str, *arguments: object, code: int = 0) -> str:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "RT_ENGINE"))
        }
        environment |= {"RT_ENGINE_CACHE": str(cache), "TOLD_TO": str(log)}
        command = [installed / "bin" / program, *map(str, arguments)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout[-3000:] + done.stderr[-3000:]
        started = log.read_text() if log.exists() else ""
        assert "rt_native.build" not in started and "rt_native.cross" not in started
        assert not list(cache.rglob("*.o"))
        return done.stdout + done.stderr

    run.log = log
    return run


def test_the_wheel_says_what_it_is_for(wheel):
    """Its name and its tags are of a kind of machine; every file has its hash in RECORD."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        [information] = [name for name in names if name.endswith("/WHEEL")]
        text, record = archive.read(information).decode(), archive.read(names[-1]).decode()
    tags = [line.removeprefix("Tag: ") for line in text.splitlines() if line.startswith("Tag: ")]
    assert tags == [f"py3-none-{tag}_{host_architecture()}" for tag in ("manylinux_2_17", "manylinux2014")]
    assert "Root-Is-Purelib: false" in text and wheel.name.endswith(f"-{'.'.join(t.split('-')[2] for t in tags)}.whl")
    assert any(name.endswith(".dist-info/sboms/rt-engine.cdx.json") for name in names)
    assert wheel.with_suffix(".cdx.json").is_file()
    assert f"rt_native/{FOLDER.name}/{LEVEL}.so" in names and names[-1].endswith("/RECORD")
    assert [line.partition(",")[0] for line in record.splitlines()] == [*sorted(names[:-1]), names[-1]]


def test_nothing_of_the_compiler_is_there(run):
    """The environment is what it says; the watch sees a process that compiles."""
    for name in COMPILER:
        assert "ModuleNotFoundError" in run("python", "-c", f"import {name}", code=1)
    with pytest.raises(AssertionError):
        run("python", "-c", "import subprocess, sys; subprocess.run([sys.executable, '-m', 'rt_native.build'])")
    run.log.unlink()


def test_everything_but_what_is_compiled_is_imported(run):
    """No module that a user's process imports needs the compiler."""
    from tests.test_packaging import compiled

    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if path.stem != "__main__"]
    names = {str(path.relative_to(ROOT)) for path in paths} - compiled() - {"station/demo/axis/setpoint.py"}
    assert len(names) > 500
    run(
        "python",
        "-c",
        IMPORTS,
        *sorted(name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in names),
    )


IMPORTS = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


def test_a_model_gives_the_same_bits(run, installed):
    """Loaded and run in a process that starts no other."""
    import numpy as np

    import rt_engine

    path = next(installed.glob("lib/*/site-packages/station/demo/data/policy-v1.onnx"))
    x = np.linspace(-1, 1, 7, dtype=np.float32).reshape(1, 7)
    assert run("python", "-c", MODEL, path).strip() == rt_engine.load(path).run({"observation": x})[0].tobytes().hex()
    assert not run.log.exists()


MODEL = """
import sys
import numpy as np, rt_engine
x = np.linspace(-1, 1, 7, dtype=np.float32).reshape(1, 7)
print(rt_engine.load(sys.argv[1]).run({"observation": x})[0].tobytes().hex())
"""


def test_a_station_runs(run, tmp_path):
    """A task, a device, a model: some hundred cycles, and no process but its own."""
    write_station(tmp_path)
    assert "axis" in run("rt-engine", "run", "station.toml", "--seconds", "1", "--socket", tmp_path / "s")
    assert not run.log.exists()


def test_commands_say_what_came_with_the_package(run):
    """And what needs the compiler says what brings it."""
    told = run("rt-engine", "kernels")
    assert (
        re.search(rf"^kernels +shipped +\d+ modules +{LEVEL}$", told, re.M)
        and "built" not in told
        and "ready" not in told
    )
    needed = r"this installation has no compiler; pip install 'rt-engine[kernels]' brings it"
    assert needed in run("rt-engine", "kernels", "--native", code=6)


def test_c_projects_have_the_kernels_of_the_wheel(run, tmp_path):
    """Without a level that which runs here; another is refused in one sentence, which says what there is."""
    model = ROOT / "station" / "demo" / "data" / "policy-v1.onnx"
    for options in ((), ("--model", model)):
        assert f"{LEVEL}: " in run("rt-engine", "export", "c", "-o", "c", *options)
        assert (tmp_path / "c" / "kernels" / f"{LEVEL}.a").stat().st_size > 10_000
    said = run("rt-engine", "export", "c", "-o", "no", "--level", "armv7", "--model", model, code=6)
    assert f"are for {LEVEL}, not for armv7) has to be compiled, and this installation has no compiler" in said
    assert not (tmp_path / "no").exists()


def test_a_users_own_step_needs_the_compiler(run, tmp_path):
    """Said by `check`, before anything starts."""
    write_station(tmp_path)
    text = (tmp_path / "station.toml").read_text().replace('model = "mean"', 'step = "mine.py:f"')
    (tmp_path / "station.toml").write_text(text)
    (tmp_path / "mine.py").write_text(
        "from scheduler.step_lang import step\n\n@step\ndef f(inputs, outputs, state):\n    pass\n"
    )
    told = run("rt-engine", "check", "station.toml", code=3)
    assert "pip install 'rt-engine[kernels]'" in told and "mine" in told


def test_the_same_sources_give_the_same_bytes(tmp_path, monkeypatch):
    """In another folder, of files with other times and rights, for a user with another mask, in another order."""
    found = []
    for name, mask in (("a", 0o022), ("much/longer", 0o077)):
        before = os.umask(mask)
        try:
            root = tmp_path / name
            for package in sorted(PACKAGES, reverse=mask == 0o077):
                shutil.copytree(
                    ROOT / package,
                    root / package,
                    ignore=shutil.ignore_patterns("__pycache__"),
                    copy_function=shutil.copy,
                )
            for file in ("pyproject.toml", "README.md", "LICENSE"):
                shutil.copy(ROOT / file, root)
            title, files = wheels.python_alone(root)
        finally:
            os.umask(before)
        libraries = {"b.so": b"b" * 1000, "a.so": b"a"}
        found.append(wheels.wheel(title, files, "aarch64", dict(sorted(libraries.items(), reverse=mask == 0o077))))
    assert found[0] == found[1]
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert wheels.wheel(title, files, "aarch64", libraries) != found[0]
