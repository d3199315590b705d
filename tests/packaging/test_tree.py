"""The folder that image and Debian package hold: what is taken out of it, how it is called, what it can do without sources."""

import importlib
import os
import subprocess
import sys

import pytest

from tests import ROOT


@pytest.fixture
def tree(monkeypatch):
    """packaging/tree.py, as a script's module."""
    monkeypatch.syspath_prepend(str(ROOT / "packaging"))
    return importlib.import_module("tree")


FILES = {
    "other/__init__.py": "from other import inner\n",
    "other/inner.py": "VALUE = 7\n\ndef fails():\n    raise ValueError\n",
    "other/tests/test_a.py": "",
    "other/inner.pyi": "",
    "onnx/backend/test/data/a.pb": "",
    "sympy/__init__.py": "",
    "sympy/physics/units.py": "",
    "pygments/lexers/__init__.py": "",
    "pygments/lexers/cobol.py": "",
    "pygments/lexers/python.py": "",
    "alone.py": "import other\n",
    "template.py": "this is {{none}} of Python\n",
    "station/__init__.py": "",
    "station/cli.py": "def main():\n    import other\n    print('ran', other.inner.VALUE)\n",
    "station/page/test/kept.h": "",
    "bin/typer": "",
}


@pytest.fixture
def made(tree, tmp_path, monkeypatch):
    """Folder made by the recipe, of made-up packages; by whether others have sources."""

    def install(_wheel, site, _extras):
        for name, text in FILES.items():
            (site / name).parent.mkdir(parents=True, exist_ok=True)
            (site / name).write_text(text)

    monkeypatch.setattr(tree, "install", install)

    def make(has_sources):
        folder = tmp_path / "made"
        tree.make(tmp_path / "x.whl", folder, folder, (), has_sources)
        return folder, folder / "lib" / tree.PYTHON / "site-packages"

    return make


@pytest.mark.parametrize("has_sources", [True, False])
def test_what_nothing_needs_is_taken_out(made, has_sources):
    """Tests, types, other languages; nothing of ours."""
    site = made(has_sources)[1]
    there = {str(path.relative_to(site)) for path in site.rglob("*") if path.suffix != ".pyc"}
    gone = {"other/tests", "other/inner.pyi", "onnx/backend/test", "sympy/physics", "pygments/lexers/cobol.py", "bin"}
    assert not gone & there
    assert {"station/cli.py", "station/page/test/kept.h", "template.py"} <= there
    assert ("other/inner.py" in there) == has_sources
    assert ("alone.py" in there) == has_sources


@pytest.mark.parametrize("has_sources", [True, False])
def test_its_command_runs_the_systems_python_with_its_packages_alone(made, has_sources):
    """Whatever PYTHONPATH says; byte code names files where they will be."""
    folder, site = made(has_sources)
    (folder / "bin/python").unlink()
    (folder / "bin/python").symlink_to(sys.executable)  # a test's Python need not be the system's
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    done = subprocess.run([folder / "bin/rt-engine"], capture_output=True, text=True, env=environment, check=False)
    assert (done.stdout, done.stderr) == ("ran 7\n", "")
    code = "import other; other.inner.fails()"
    failed = subprocess.run([folder / "bin/python", "-I", "-c", code], capture_output=True, text=True, check=False)
    assert f'File "{site}/other/inner.py", line 4, in fails' in failed.stderr


def test_what_was_compiled_for_another_content_is_not_run(made):
    """Byte code beside a source is checked by content, so a source that was mended counts, whatever its time."""
    folder, site = made(True)
    source, program = site / "station/cli.py", folder / "bin/python"
    times = source.stat()
    source.write_text("def main():\n    print('mended')\n")
    os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns))
    program.unlink()
    program.symlink_to(sys.executable)
    assert subprocess.run([folder / "bin/rt-engine"], capture_output=True, text=True, check=True).stdout == "mended\n"
