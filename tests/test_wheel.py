"""The wheel, with the source tree out of reach: what a user installs has everything and works.

    packages of this tree -> sdist -> wheel -> environment of its own -> rt-engine, the public API, every module

The environment takes dependencies from the one that the tests run in, and nothing else: not this tree, not its own wheel.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from rt_native.version import TEXT
from tests import ROOT
from tests.test_docs import blocks

PACKAGES = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["packages"]
BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"
DEPENDENCIES = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]

pytestmark = pytest.mark.slow


def copied(root: Path, folder: Path) -> Path:
    """What is packaged, in a folder of its own: no names are left there by an earlier build."""
    for package in PACKAGES:
        shutil.copytree(root / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, folder)
    return folder


def built(source: Path, kind: str, folder: Path) -> Path:
    """The file that the build makes of a source folder; `kind`: build_sdist or build_wheel."""
    done = subprocess.run(
        [sys.executable, "-c", BUILD, kind, str(folder)], cwd=source, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.splitlines()[-1]


def files(folder: Path) -> set[str]:
    """All files of our packages in a folder, except what Python itself leaves."""
    found = (path for package in PACKAGES for path in (folder / package).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)) for path in found if "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Made of what the sdist has in it."""
    folder = tmp_path_factory.mktemp("wheel")
    (folder / "source").mkdir()
    sdist = built(copied(ROOT, folder / "source"), "build_sdist", folder)
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return built(folder / sdist.name.removesuffix(".tar.gz"), "build_wheel", folder)


def install(wheel, folder):
    """Put a wheel into the environment of a folder: nothing else, and from nowhere else."""
    pip = (sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "--disable-pip-version-check")
    done = subprocess.run(
        [*pip, "install", "--no-deps", "--no-index", str(wheel)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The folder of a virtual environment with the wheel in it."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    site = next(folder.glob("lib/*/site-packages"))
    (site / "dependencies.pth").write_text("\n".join(DEPENDENCIES))
    install(wheel, folder)
    return folder


@pytest.fixture
def run(installed, tmp_path):
    """Run a program of the environment, in an empty folder; gives what it prints."""

    def run(program: str, *arguments: str) -> str:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        done = subprocess.run(
            [installed / "bin" / program, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    return run


def test_the_wheel_has_every_file_of_the_packages(installed):
    """Code, rooms, data, markers of types: the same files as in the tree; and the version and licence."""
    site = next(installed.glob("lib/*/site-packages"))
    assert files(site) == files(ROOT)
    information = site / f"rt_engine-{TEXT}.dist-info"
    assert f"\nVersion: {TEXT}\n" in (information / "METADATA").read_text()
    assert (information / "licenses" / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


@pytest.mark.parametrize(
    ("dropped", "missing"),
    [
        ('"*.map", ', "plc_bindings/c/rt_engine.map"),
        ('"plc_bindings.st" = ["library/*/*.st"]', ".st"),
        ('"station*"', "station/"),
    ],
)
def test_a_file_that_is_not_packaged_is_missed(tmp_path, dropped, missing):
    """Without a pattern of package-data, or a package, the wheel has fewer files."""
    source = tmp_path / "source"
    source.mkdir()
    project = copied(ROOT, source) / "pyproject.toml"
    assert dropped in project.read_text()
    project.write_text(project.read_text().replace(dropped, ""))
    names = zipfile.ZipFile(built(source, "build_wheel", tmp_path)).namelist()
    lost = files(ROOT) - set(names)
    assert lost
    assert all(missing in name for name in lost)


def test_every_module_is_imported_from_the_wheel(run):
    """Nothing in the packages needs the tests or the benchmarks, which are out of reach."""
    run("python", "-c", IMPORT_ALL, *PACKAGES)


IMPORT_ALL = """
import importlib, importlib.util, pkgutil, sys
assert not importlib.util.find_spec("tests") and not importlib.util.find_spec("benchmarks")
for name in sys.argv[1:]:
    package = importlib.import_module(name)
    assert package.__file__.startswith(sys.prefix), package.__file__
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
"""


def test_the_public_api_works(run, installed, tmp_path):
    """The first Python of docs/for-data-scientists.md, on a model of the wheel's."""
    data = next(installed.glob("lib/*/site-packages/station/demo/data"))
    shutil.copy(data / "policy-v1.onnx", tmp_path / "policy.onnx")
    (tmp_path / "readme.py").write_text(blocks((ROOT / "docs" / "for-data-scientists.md").read_text(), "python")[0])
    assert " ns\n" in run("python", "readme.py")


def test_commands_work(run, installed):
    """Help, kernels, a model and a station of the wheel's own; files made from the libraries of text in it."""
    demo = next(installed.glob("lib/*/site-packages/station/demo"))
    assert "demo" in run("rt-engine", "--help")
    assert "kernels" in run("rt-engine", "kernels")
    assert "runs" in run("rt-engine", "check", str(demo / "data" / "policy-v1.onnx"), str(demo / "station.toml"))
    run("rt-engine", "schema")
    run("rt-engine", "export", "st", str(demo / "plc.toml"), "--flavour", "portable", "-o", "plc")
    run("rt-engine", "export", "c", "-o", "deploy", "--model", str(demo / "data" / "policy-v1.onnx"))


def test_the_demo_works(run, tmp_path):
    """All that a newcomer sees, and the page of its report."""
    run("rt-engine", "demo", "--report", "report")
    assert next((tmp_path / "report").rglob("*.html"), None)
