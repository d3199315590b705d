"""Tests lie where their source lies, say what they prove, and import each other in one way."""

import ast
from pathlib import Path

import pytest

from tests import ROOT


def strays(root: Path) -> list[str]:
    """What is wrong with the layout of `root`/tests, in words."""
    found = []
    helpers = {file.stem for file in (root / "tests").rglob("*.py")} - {"__init__"}
    for path in sorted((root / "tests").rglob("*.py")):
        name, room = path.relative_to(root / "tests"), root / path.parent.relative_to(root / "tests")
        tree = ast.parse(path.read_text())
        package = path.with_name("__init__.py")
        if not package.exists():
            found.append(f"{name}: no __init__.py beside it")
        elif path == package and not room.is_dir() and not ast.get_docstring(tree):
            found.append(
                f"{name}: {name.parent} is no room of the source, and its __init__ does not say what it proves"
            )
        module = room / path.name.removeprefix("test_")
        mirrors = module.exists() or module.with_suffix("").is_dir()
        if path.name.startswith("test_") and not mirrors and not ast.get_docstring(tree):
            found.append(f"{name}: names no module of {name.parent}, and does not say what it proves")
        for node in ast.walk(tree):
            of = [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            roots = [alias.name for alias in node.names] if isinstance(node, ast.Import) else of
            if helpers & set(roots) or (isinstance(node, ast.ImportFrom) and node.level):
                found.append(f"{name}, line {node.lineno}: imports another test without its full name")
    return found


def test_the_tests_mirror_the_source():
    assert strays(ROOT) == []


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a/test_b.py": ""}, "no __init__"),
        ({"a/__init__.py": "", "a/test_b.py": ""}, "is no room"),
        ({"room/__init__.py": "", "room/test_b.py": ""}, "names no module"),
        (
            {"room/__init__.py": "", "room/test_m.py": "def f():\n    from help import x", "room/help.py": ""},
            "line 2: imports",
        ),
        ({"room/__init__.py": "", "room/test_m.py": "from .help import x", "room/help.py": ""}, "line 1: imports"),
    ],
)
def test_each_check_sees_a_stray(tmp_path, files, words):
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "m.py").touch()
    good = {
        "room/__init__.py": "",
        "room/test_m.py": "",
        "else/__init__.py": '"""Words."""',
        "else/test_b.py": '"""Words."""',
    }
    for stage, expected in ((good, 0), (files, 1)):
        for name, text in stage.items():
            path = tmp_path / "tests" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        assert sum(words in line for line in strays(tmp_path)) == expected
