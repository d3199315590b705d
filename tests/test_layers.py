"""Imports point one way: between packages, between the rooms of a package, and between files."""

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests import ROOT

LAYERS = {
    "rt_native": set(),
    "rt_engine": {"rt_native"},
    "fieldbus": {"rt_native"},
    "scheduler": {"rt_native", "rt_engine", "fieldbus"},
    "plc_bindings": {"rt_native", "rt_engine", "fieldbus", "scheduler"},
    "station": {"rt_native", "rt_engine", "fieldbus", "scheduler", "plc_bindings"},
}
Arrows = Mapping[str, set[str]]


def modules(root: Path) -> dict[str, Path]:
    """Full name -> file, of every module of ours below `root`."""
    files = [path for package in LAYERS for path in sorted((root / package).rglob("*.py"))]
    return {".".join(f.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): f for f in files}


def imported(source: str, known: Mapping[str, object]) -> Iterator[str]:
    """The modules that a file names in imports at whatever depth: in functions, and for type checkers alone, too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if whole in known:
                    yield whole
                elif node.module in known:
                    yield node.module


def arrows(root: Path) -> Arrows:
    """Module -> the modules that it imports."""
    known = modules(root)
    return {name: set(imported(path.read_text(), known)) - {name} for name, path in known.items()}


def between_rooms(arrows: Arrows, package: str) -> Arrows:
    """The arrows of one package, folder by folder; a module at its top is a room of its own."""

    def room(name: str) -> str:
        return ".".join(name.split(".")[:2])

    inside = [name for name in arrows if name.startswith(f"{package}.")]
    found: dict[str, set[str]] = {room(name): set() for name in inside}
    for name in inside:
        found[room(name)] |= {room(to) for to in arrows[name] if to.startswith(f"{package}.")} - {room(name)}
    return found


def circle(arrows: Arrows) -> list[str]:
    """One circle of arrows, if there is one: each imports the next."""
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


FOUND = arrows(ROOT)


@pytest.mark.parametrize("package", LAYERS)
def test_a_package_imports_only_what_lies_below_it(package):
    """rt_native < rt_engine, fieldbus < scheduler < plc_bindings < station."""
    for name, to in FOUND.items():
        if name.partition(".")[0] == package:
            above = {other.partition(".")[0] for other in to} - LAYERS[package] - {package}
            assert not above, f"{name} imports {sorted(above)}"


def test_no_two_files_import_each_other():
    """No circle of any length."""
    assert circle(FOUND) == []


@pytest.mark.parametrize("package", LAYERS)
def test_no_two_rooms_import_each_other(package):
    """A room can be read, and moved, without what stands above it."""
    assert circle(between_rooms(FOUND, package)) == []


def planted(root: Path, files: Mapping[str, str]) -> Path:
    """A tree with these files."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_the_check_sees_a_breach(tmp_path):
    """A planted import is found, also inside a function."""
    files = {"fieldbus/a.py": "def f():\n    from station import cli\n", "station/cli.py": ""}
    assert arrows(planted(tmp_path, files))["fieldbus.a"] == {"station.cli"}


@pytest.mark.parametrize(
    "closing",
    [
        "import station.x.a",
        "def f():\n    from station.x import a",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from station.x.a import A",
    ],
)
def test_the_check_sees_a_circle(tmp_path, closing):
    """At the top, in a function, for type checkers alone: of files, and of the rooms that they stand in."""
    files = {
        "station/x/a.py": "from station.y.b import B",
        "station/y/b.py": "from station.y import c",
        "station/y/c.py": closing,
    }
    found = arrows(planted(tmp_path, files))
    assert len(circle(found)) == 4
    assert set(circle(between_rooms(found, "station"))) == {"station.x", "station.y"}


def test_the_check_lets_a_tree_without_circles_pass(tmp_path):
    """Two that import a third."""
    files = {"station/x/a.py": "import station.z", "station/y/b.py": "import station.z", "station/z.py": ""}
    found = arrows(planted(tmp_path, files))
    assert circle(found) == circle(between_rooms(found, "station")) == []
