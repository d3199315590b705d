"""What says how the project is built, checked and released is true: it names what exists, and the version once."""

import ast
import importlib.util
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions

import pytest
from setuptools.config.pyprojecttoml import read_configuration

from rt_native.library import reachable_sources
from rt_native.version import TEXT, VERSION
from tests import ROOT
from tests.test_docs import committed

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
TOOL = PROJECT["tool"]
PACKAGES = TOOL["mypy"]["packages"]


def test_the_package_has_the_version_that_is_written_once():
    """The build reads it without importing anything; no file of the project repeats it."""
    assert read_configuration(ROOT / "pyproject.toml")["project"]["version"] == TEXT
    written = re.compile(rf"\b{re.escape(TEXT)}\b|VERSION\b.*{re.escape(str(VERSION))}")
    places = {
        name
        for name in committed()
        if name.endswith((".py", ".c", ".h", ".cpp", ".toml", ".st", ".yml"))
        and written.search((ROOT / name).read_text())
    }
    assert places == {"rt_native/version.py"}
    assert f"\n## [{TEXT}] " in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("override", TOOL["mypy"]["overrides"], ids=lambda o: o["module"][0])
def test_mypy_is_told_about_modules_that_exist(override):
    """A pattern of ours stands for a package, a name for a module."""
    ours = [name for name in override["module"] if name.partition(".")[0] in PACKAGES]
    assert [name for name in ours if importlib.util.find_spec(name.removesuffix(".*")) is None] == []


def test_ruff_is_told_about_files_that_exist():
    """Each pattern that excuses files from a rule has one."""
    patterns = TOOL["ruff"]["lint"]["per-file-ignores"]
    assert [pattern for pattern in patterns if not any(ROOT.glob(pattern))] == []


def test_every_package_is_built_checked_and_a_pattern_of_its_data_used():
    """A folder with Python code at the top is a package of the wheel and of mypy, or belongs to development."""
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert folders - {"tests", "benchmarks"} == set(PACKAGES)
    assert {f"{package}*" for package in PACKAGES} == set(TOOL["setuptools"]["packages"]["find"]["include"])
    for package, patterns in TOOL["setuptools"]["package-data"].items():
        places = [ROOT / package.replace(".", "/")] if package != "*" else [ROOT / name for name in PACKAGES]
        unused = [p for p in patterns if not any(next(place.rglob(p), None) for place in places)]
        assert unused == [], f"package-data of {package}"


def test_every_marker_is_used():
    """pytest refuses a marker that is not declared; this refuses one that marks nothing."""
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
    declared = [marker.partition(":")[0] for marker in TOOL["pytest"]["ini_options"]["markers"]]
    assert [marker for marker in declared if f"mark.{marker}" not in tests] == []


def test_commits_and_forge_run_what_the_gate_runs():
    """A hook of pre-commit is a line of `.ci/run`, and the forge's workflow calls `.ci/run`."""
    gate = (ROOT / ".ci" / "run").read_text().splitlines()
    hooks = re.findall(r"entry: ([^,}]+)", (ROOT / ".pre-commit-config.yaml").read_text())
    assert hooks
    assert set(hooks) <= set(gate)
    assert re.search(r"^\s+- run: \.ci/run$", (ROOT / ".github" / "workflows" / "ci.yml").read_text(), re.M)


OPTIONAL = {
    "onnxruntime": "the peer of `bench`, where it is installed; its quantiser makes the int8 version",
    "openvino": "the peer of `bench`, where it is installed",
    "MNN": "the peer of `bench`, where it is installed",
    "_tools": "MNN's own converter, which its package has at the top",
    "tract": "the peer of `bench`, where it is installed",
    "treelite": "the peer of `bench` for trees, where it is installed",
    "tl2cgen": "the peer of `bench` for trees, where it is installed",
    "matplotlib": "charts of the benchmarks",
    "pandas": "data frames of recordings, where it is installed",
    "prometheus_client": "the extra metrics: GET /metrics of a station's page",
    "zstandard": "the extra recording: chunks of recordings, compressed",
    "pysoem": "the extra ethercat: finds slaves, reads their EEPROM, speaks CoE",
}
"""Modules that no requirement brings: imported in functions alone, by who asks for what they do."""
ROOMS = {"fieldbus/opcua/": {"asyncua"}, "plc_bindings/opcua/": {"asyncua"}}
"""Rooms made for the package of an extra, which is at the top of their files; imported in functions alone, by tables and commands."""
WITH_ANOTHER = {"pydantic_core": "pydantic"}
"""Modules of distributions that belong to a requirement, which pins them."""
BROUGHT_BY = packages_distributions()
"""Module -> the distributions that have it."""
COMPILER = {"numba", "llvmlite"}
"""The extra kernels: at the top of what only the compiling process imports, in functions of who asks whether it is there."""
REQUIRED = {re.match(r"[\w-]+", line)[0] for line in PROJECT["project"]["dependencies"]}


@cache
def compiled() -> set[str]:
    """Files that only the compiling process runs: native modules, what they are made of, and the compiler's own programs."""
    native = {
        ".".join(p.relative_to(ROOT).with_suffix("").parts)
        for name in PACKAGES
        for p in (ROOT / name).rglob("*_native.py")
    }
    kernels = {f"rt_engine.kernels.{path.stem}" for path in (ROOT / "rt_engine" / "kernels").glob("*.py")}
    programs = {
        "rt_native.build",
        "rt_native.build_some",
        "rt_native.build_together",
        "rt_native.cross",
        "scheduler.step_lang",
    }
    reached = {path for name in native | kernels | programs for path in reachable_sources(name).values()}
    return {str(path.relative_to(ROOT)) for path in reached}


def not_required(source: str, is_compiled: bool = False) -> Iterator[str]:
    """Third-party modules that a source imports, at whatever depth, and that no requirement brings."""
    tree = ast.parse(source)
    in_functions = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        for module in {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {*PACKAGES}:
            owners = [WITH_ANOTHER.get(module, ""), *BROUGHT_BY.get(module, ())]
            required = any(re.sub("[-_.]+", "-", owner).lower() in REQUIRED for owner in owners)
            asked = module in OPTIONAL or module in COMPILER
            if not required and not (asked and node in in_functions) and not (is_compiled and module in COMPILER):
                yield module


def test_the_compiler_is_an_extra():
    """Of those who write kernels or steps; the lock files of a clone bring it."""
    extra = PROJECT["project"]["optional-dependencies"]["kernels"]
    assert {re.match(r"\w+", line)[0] for line in extra} == COMPILER and not COMPILER & REQUIRED
    assert all(re.search(rf"(?m)^{name}==", (ROOT / "requirements" / "run.txt").read_text()) for name in COMPILER)


@pytest.mark.parametrize("package", PACKAGES)
def test_what_is_imported_is_required(package):
    """Whoever installs the wheel has all that it imports, but what is optional."""
    texts = {str(path.relative_to(ROOT)): path.read_text() for path in sorted((ROOT / package).rglob("*.py"))}
    found = {name: [*not_required(text, name in compiled())] for name, text in texts.items()}
    for room, brings in ROOMS.items():
        found |= {name: [m for m in had if m not in brings] for name, had in found.items() if name.startswith(room)}
    assert {name: modules for name, modules in found.items() if modules} == {}


def test_an_import_that_nobody_brings_is_seen():
    """At the top, in a function, of a distribution that tests alone have; an optional one at the top."""
    for source, module in (
        ("import pytest.mark", "pytest"),
        ("def f():\n    from sklearn.svm import SVC", "sklearn"),
        ("class A:\n    import gone", "gone"),
        ("import onnxruntime", "onnxruntime"),
        ("import numba", "numba"),
    ):
        assert list(not_required(source)) == [module]
    assert list(not_required("from numba import float32\nimport pytest", is_compiled=True)) == ["pytest"]
    assert list(not_required("import os, numpy\nfrom rt_engine import load\ndef f():\n    import onnxruntime")) == []


def test_every_optional_module_is_imported():
    """The tables hold nothing that is gone."""
    sources = "".join(path.read_text() for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    assert [m for m in (*OPTIONAL, *WITH_ANOTHER) if not re.search(rf"^\s*(?:import|from) {m}\b", sources, re.M)] == []
