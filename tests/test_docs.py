"""Documentation is true: its Python runs, its station files check, its commands exist, what it names is there."""

import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rt_engine
from rt_engine.contract.toml import from_toml, merged
from rt_engine.recording import Field, SourceFields, TaskLayout, Writer
from tests import ROOT
from tests.rt_engine.recording.recorded import cycles

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "examples" / "README.md"])
README = (ROOT / "README.md").read_text()
READERS = ("for-controls-engineers", "for-data-scientists", "for-integrators")

FOLDERS = "rt_native|rt_engine|fieldbus|scheduler|plc_bindings|station|tests|benchmarks|docs|examples|requirements"
"""What a path from the top begins with."""
PATH = re.compile(rf"(?<![\w/.-])(?:{FOLDERS}|\.ci|\.github)/[\w./*-]*[\w*]")
SOURCE = re.compile(r"(?<![\w/.*-])(?:[\w-]+/)*[\w-]+\.(?:py|md|c|h|cpp|st|map|cjs)\b(?!\.\w)")
MODULE = re.compile(r"(?<![\w/.-])(?:rt_native|rt_engine|fieldbus|plc_bindings)(?:\.\w+)+(?![\w/*])")
READERS_OWN = {
    *("file.py", "soften.py", "loop.c", "NAME.py"),  # what a reader writes
    *("stdio.h", "time.h"),  # their compiler's
    *("Model.map", "model.map"),  # a function, no script for a linker
    *("plc/FB_policy.st", "STATION.st", "STATION_codesys.st", "STATION_example.st"),  # what `rt-engine export` makes
    *("STATION_matiec.st", "STATION_openplc.st", "STATION_master.st"),  # and for matiec's family
}
"""Files that pages name and that are not of this project."""
GONE_ON_PURPOSE = (
    "tests/test_docs.py",
    "tests/test_contributing.py",
    "tests/test_layers.py",
    "tests/packaging/test_tree.py",
)
"""They make up names, to show that what is wrong is seen."""


def committed() -> list[str]:
    """Names of the project's files."""
    if not (ROOT / ".git").exists():
        pytest.skip("what belongs to the project is what git knows; this is no clone")
    return subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True, cwd=ROOT).stdout.split()


def lost(text: str) -> list[str]:
    """Paths from the top that lead nowhere: `docs/rtp.md`, also a pattern, or how it begins (`docs/adr/0001`)."""
    return [p for p in PATH.findall(text) if not any(ROOT.glob(p if "*" in p or (ROOT / p).exists() else p + "-*"))]


def gone(text: str, home: Path, files: list[str]) -> list[str]:
    """Paths, source files and modules that a page in the folder `home` names and that do not exist.

    From the top; from where the page is; the end of a path: `records.py`, `ops/control.py`; modules and what is in them:
    `rt_engine.state.to_bytes`.
    """
    ends = {"/".join(parts[start:]) for parts in (name.split("/") for name in files) for start in range(len(parts))}
    sources = [s for s in SOURCE.findall(text) if s not in ends | READERS_OWN and not (home / s).exists()]
    modules = [m for m in MODULE.findall(text) if not SOURCE.fullmatch(m) and not is_there(m)]
    return sorted({*lost(text), *sources, *modules})


def is_there(name: str) -> bool:
    """Is it a module, or something in one?"""
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


def blocks(text: str, language: str) -> list[str]:
    """Code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    """Every relative link is a file or folder of this project."""
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_a_page_names_exists(page):
    """Files, folders, modules: none that is gone or has moved."""
    assert gone(page.read_text(), page.parent, committed()) == []


def test_a_name_that_is_gone_is_seen():
    """One of each kind, beside one that is there."""
    text = "`docs/gone.md` docs/rtp.md, docs/adr/0099 docs/adr/0001; ops/gone.py ops/base.py, rt_engine.gone rt_engine.load"
    text += " rt_engine.state.gone rt_engine.h tests/*/gone_*.py tests/*/test_*.py"
    names = [
        "docs/adr/0099",
        "docs/gone.md",
        "ops/gone.py",
        "rt_engine.gone",
        "rt_engine.state.gone",
        "tests/*/gone_*.py",
    ]
    assert gone(text, ROOT, committed()) == names


@pytest.mark.parametrize("suffix", [".py", ".c", ".h", ".cpp", ".toml", ".st", ".cjs"])
def test_what_comments_name_exists(suffix):
    """Paths from the top, in source files."""
    texts = {
        name: (ROOT / name).read_text() for name in committed() if name.endswith(suffix) and name not in GONE_ON_PURPOSE
    }
    assert texts
    assert {name: lost(text) for name, text in texts.items() if lost(text)} == {}


def test_places_in_the_pipeline_table_exist():
    """The table in docs/architecture.md names functions where they are."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| \w+ \| `(\w+)` \| (.+?) \|", page, re.M)
    assert len(rows) >= 9
    for function, places in rows:
        paths = [ROOT / p for p in re.findall(r"`([^`]+)`", places)]
        assert all(p.exists() for p in paths), places
        sources = [f.read_text() for p in paths for f in ([p] if p.is_file() else p.rglob("*.py"))]
        assert any(re.search(rf"^(def|class) {function}\b", s, re.M) for s in sources), f"{function} is not in {places}"


@pytest.mark.parametrize("page", ["for-data-scientists", "explain"])
def test_python_of_the_first_pages_runs(page, tmp_path, monkeypatch):
    """The engine in ten lines, a run explained, on the demo's policy; and a recording, on 3000 cycles of one."""
    policy = (ROOT / "station" / "demo" / "data" / "policy-v1.onnx").read_bytes()
    (tmp_path / "policy.onnx").write_bytes(policy)
    (tmp_path / "recordings").mkdir()
    layout = TaskLayout("balance", 1_000_000, (SourceFields("plc", (Field("speed"),)),), (Field("force"),))
    with Writer(tmp_path / "recordings" / "a.mcap", [layout], offset_ns=0, compression="none") as writer:
        writer.add_records(layout, cycles(0, 3000, layout))
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / f"{page}.md").read_text()
    assert blocks(text, "python")
    for block in blocks(text, "python"):
        exec(compile(block, f"{page}.md", "exec"), {})


@pytest.mark.parametrize("number", range(3))
@pytest.mark.filterwarnings("ignore")  # the exporters' own
def test_python_of_the_contract_page_runs(number, tmp_path, monkeypatch):
    """On the demo's policy, PyTorch, scikit-learn; what is attached is read, and the test vectors hold."""
    block = blocks((ROOT / "docs" / "contract.md").read_text(), "python")[number]
    for package in ("torch", "skl2onnx"):
        if f"import {package}" in block or f"from {package}" in block:
            pytest.importorskip(package, reason=f"{package} is not installed")
    (tmp_path / "policy.onnx").write_bytes((ROOT / "station" / "demo" / "data" / "policy-v1.onnx").read_bytes())
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "contract.md", "exec"), {})
    made = [path for path in tmp_path.glob("*.onnx") if path.name != "policy.onnx"]
    model = rt_engine.load(made[0] if made else tmp_path / "policy.onnx")
    assert model.contract.rate_hz
    for vector in model.contract.vectors:
        for spec, given in zip(model.outputs, model.run(vector.inputs), strict=True):
            expected = vector.outputs[spec.name]
            assert np.allclose(given, expected, atol=vector.atol, rtol=vector.rtol)


def test_the_toml_of_the_contract_page_is_a_contract():
    (text,) = blocks((ROOT / "docs" / "contract.md").read_text(), "toml")
    made = merged(None, from_toml(text, "contract.md"), "contract.md")
    assert made.elements("x")[1].clip and made.parts("x")[0].window == 3


@pytest.mark.parametrize("reader", READERS)
def test_each_reader_is_one_click_away(reader):
    """The README links to the page, and fits on two screens."""
    assert f"(docs/{reader}.md)" in README
    assert README.count("\n") <= 80


def test_commands_of_all_pages_exist():
    """Every `rt-engine COMMAND` that a page shows, and every `make TARGET` of the README."""
    text = "\n".join(page.read_text() for page in PAGES)
    shown = set(re.findall(r"(?:^|[`&] ?)rt-engine (\w[\w-]*)", text, re.M))
    listed = subprocess.run(
        [sys.executable, "-m", "station", "--help"], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    assert shown
    assert all(re.search(rf"\b{command}\b", listed) for command in shown)
    targets = set(re.findall(r"make (\w+)", README))
    makefile = (ROOT / "Makefile").read_text()
    assert all(re.search(rf"^{target}:", makefile, re.M) for target in targets), targets


def test_the_station_of_the_readme_checks(tmp_path):
    """`rt-engine check` finds nothing wrong with the README's station file, given a model of two inputs."""
    from benchmarks.models import mlp

    (tmp_path / "policy.onnx").write_bytes(mlp([2, 8, 1], "Tanh").SerializeToString())
    (tmp_path / "station.toml").write_text(blocks(README, "toml")[0])
    command = [sys.executable, "-m", "station", "check", str(tmp_path / "station.toml")]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_names_that_must_not_be_here():
    """No paths of one machine and no package hosts in anything that is committed."""
    forbidden = re.compile("/" + "work/|/" + "root/|pypi" + r"\.org|/opt/" + "wheels")
    for name in committed():
        path = ROOT / name
        if path.suffix in (".py", ".md", ".toml", ".txt", ".yaml", ".html", "") and path.is_file():
            assert not forbidden.search(path.read_text(errors="replace")), name
