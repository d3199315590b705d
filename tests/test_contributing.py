"""CONTRIBUTING.md is true: each row of "Where do I add a ...?" names places that exist, and the test that adds one."""

import re

import pytest

from tests import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """Cells of the table below a heading, without its own."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


ADDED = rows("Where do I add a ...?")


def named(cell: str) -> list[str]:
    """What stands between backquotes."""
    return re.findall(r"`([^`]+)`", cell)


def is_a_test(reference: str) -> bool:
    """Is `FILE::FUNCTION` a test function in a file?"""
    file, _, function = reference.partition("::")
    path = ROOT / file
    return path.is_file() and re.search(rf"^def {function}\(", path.read_text(), re.M) is not None


@pytest.mark.parametrize("row", ADDED, ids=lambda row: row[0])
def test_each_place_exists_and_a_test_adds_one(row):
    """The places, what belongs to them, and the test that sees the new one appear."""
    _, places, _, proof = row
    assert named(places)
    assert [name for name in named(places) if "/" in name and not (ROOT / name).exists()] == []
    assert named(proof)
    assert [reference for reference in named(proof) if not is_a_test(reference)] == []


def test_every_kind_of_change_has_a_row():
    """Those that the layout was made for."""
    kinds = {row[0] for row in ADDED}
    assert kinds == {
        "statistic of a task or a link",
        "operator on each element, with its kernel",
        "kernel",
        "operator on kernels that are there",
        "pass",
        "lane width",
        "element type",
        "kind of link",
        "kind of server",
        "kind of scan",
        "ready step",
        "command",
    }


def test_a_test_that_is_gone_is_seen():
    """A file or a function that does not exist proves nothing."""
    assert is_a_test("tests/test_contributing.py::test_a_test_that_is_gone_is_seen")
    assert not is_a_test("tests/test_contributing.py::test_gone")
    assert not is_a_test("tests/test_gone.py::test_gone")


def test_commands_of_the_page_exist():
    """`python -m MODULE`, `python FILE`, and the folders and markers of pytest."""
    makefile = (ROOT / "Makefile").read_text()
    assert all(re.search(rf"^{target}:", makefile, re.M) for target in re.findall(r"make (\w+)", PAGE))
    modules = re.findall(r"python -m ((?:tests|plc_bindings|rt_engine)[\w.]*)", PAGE)
    assert len(modules) >= 5
    assert [m for m in modules if not (ROOT / (m.replace(".", "/") + ".py")).exists()] == []
