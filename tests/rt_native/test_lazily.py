"""Names of a package come when they are asked for, and only then."""

import ast
import subprocess
import sys

import pytest

from rt_native.lazily import lazily
from tests import ROOT


@pytest.mark.parametrize("package", ["rt_engine", "scheduler"])
def test_every_name_is_there_and_nothing_is_loaded_before(package):
    code = (
        f"import sys, {package} as p\n"
        "loaded = {'numpy', f'{p.__name__}.run', f'{p.__name__}.task'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
        "assert set(p.__all__) <= set(dir(p))\n"
        "lost = [name for name in p.__all__ if getattr(p, name) is None]\n"
        "assert not lost and 'numpy' in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_a_name_is_looked_up_once_and_an_unknown_one_is_no_attribute(monkeypatch):
    get, known = lazily("tests", {"need": "package program"})
    found = get("package")
    monkeypatch.delattr("tests.package")
    assert found.__module__ == "tests.need" and {"package", "program", "__name__"} <= set(known())
    with pytest.raises(AttributeError, match="module 'tests' has no attribute 'packages'"):
        get("packages")


@pytest.mark.parametrize("package", ["rt_engine", "scheduler"])
def test_a_type_checker_sees_the_names_alone(package):
    """With a `__getattr__` in sight it takes every misspelt name for one of any type."""
    seen = [ast.unparse(one) for one in ast.parse((ROOT / package / "__init__.py").read_text()).body]
    asked = [text for text in seen if "__getattr__" in text]
    assert asked and all(text.startswith("if not TYPE_CHECKING:") for text in asked)


def test_a_misspelt_name_is_told_with_the_nearest():
    done = subprocess.run(
        [sys.executable, "-c", "import rt_engine\nrt_engine.quantise"], capture_output=True, text=True, cwd=ROOT
    )
    assert "Did you mean: 'quantize'?" in done.stderr
