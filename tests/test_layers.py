"""Imports point one way."""

import ast

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


def imported_packages(source: str) -> set[str]:
    """Our packages that a file imports, at whatever depth."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found & set(LAYERS)


@pytest.mark.parametrize("package", LAYERS)
def test_a_package_imports_only_what_lies_below_it(package):
    """rt_native < rt_engine, fieldbus < scheduler < plc_bindings < station."""
    for path in (ROOT / package).rglob("*.py"):
        above = imported_packages(path.read_text()) - LAYERS[package] - {package}
        assert not above, f"{path.relative_to(ROOT)} imports {sorted(above)}"


def test_the_check_sees_a_breach():
    """A planted import is found, also inside a function."""
    assert imported_packages("def f():\n    from station import cli\n") == {"station"}
