"""Documentation is true: its Python runs, its station files check, its commands exist, its links lead somewhere."""

import re
import subprocess
import sys

import pytest

from tests import ROOT

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "examples" / "README.md"])
README = (ROOT / "README.md").read_text()


def blocks(text: str, language: str) -> list[str]:
    """Code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    """Every relative link is a file or folder of this project."""
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_places_in_the_pipeline_table_exist():
    """The README's table names functions where they are."""
    rows = re.findall(r"^\| \w+ \| `(\w+)` \| (.+?) \|", README, re.M)
    assert len(rows) >= 9
    for function, places in rows:
        paths = [ROOT / p for p in re.findall(r"`([^`]+)`", places)]
        assert all(p.exists() for p in paths), places
        sources = [f.read_text() for p in paths for f in ([p] if p.is_file() else p.rglob("*.py"))]
        assert any(re.search(rf"^(def|class) {function}\b", s, re.M) for s in sources), f"{function} is not in {places}"


def test_python_of_the_readme_runs(tmp_path, monkeypatch):
    """The engine in ten lines, on the demo's policy."""
    policy = (ROOT / "station" / "demo" / "data" / "policy-v1.onnx").read_bytes()
    (tmp_path / "policy.onnx").write_bytes(policy)
    monkeypatch.chdir(tmp_path)
    for block in blocks(README, "python"):
        exec(compile(block, "README.md", "exec"), {})


def test_commands_of_the_readme_exist():
    """Every `rt-engine COMMAND` and `make TARGET` that the README shows."""
    shown = set(re.findall(r"^rt-engine (\w+)", README, re.M)) | set(re.findall(r"`rt-engine (\w+)`", README))
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
    files = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=False, cwd=ROOT).stdout.split()
    forbidden = re.compile("/" + "work/|/" + "root/|pypi" + r"\.org|/opt/" + "wheels")
    for name in files:
        path = ROOT / name
        if path.suffix in (".py", ".md", ".toml", ".txt", ".yaml", ".html", "") and path.is_file():
            assert not forbidden.search(path.read_text(errors="replace")), name
