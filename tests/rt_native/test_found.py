"""Modules that are found by being in a folder stand in their order, and each has a place of its own."""

import sys

import pytest

from rt_native.found import modules


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Makes a package of such files and finds them."""

    def package(**files):
        folder = tmp_path / "planted_here"
        folder.mkdir()
        (folder / "__init__.py").touch()
        for name, text in files.items():
            (folder / f"{name}.py").write_text(text)
        return modules(folder.name, [str(folder)])

    monkeypatch.syspath_prepend(tmp_path)
    yield package
    for name in [name for name in sys.modules if name.startswith("planted_here")]:
        del sys.modules[name]


def test_the_lowest_is_first(package):
    assert [module.__name__ for module in package(a="ORDER = 20", b="ORDER = 10")] == [
        "planted_here.b",
        "planted_here.a",
    ]


@pytest.mark.parametrize("text", ["", 'ORDER = "10"'])
def test_one_without_a_place_is_refused(package, text):
    with pytest.raises(ImportError, match=r"planted_here/b\.py says no place .*ORDER = 30"):
        package(a="ORDER = 20", b=text)


def test_two_at_one_place_are_refused(package):
    with pytest.raises(
        ImportError, match=r"planted_here/a\.py and .*planted_here/c\.py have the same place, ORDER = 20"
    ):
        package(a="ORDER = 20", b="ORDER = 10", c="ORDER = 20")
