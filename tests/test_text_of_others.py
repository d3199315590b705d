"""Text of others has one way to the screen, and files are UTF-8 whatever the locale: what the source may not do."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ROOT
from tests.test_layers import LAYERS

FOLDERS = (*LAYERS, "examples")
TEXT_METHODS = {"read_text": 0, "write_text": 1}
"""Method -> at which place the encoding may stand."""
PRINTS_ITSELF = {
    "rt_native/build.py": "the words of a child process to its parent",
    "rt_native/text.py": "JSON, which has no control characters",
    "rt_engine/gate/worker.py": "JSON, of a child process to its parent",
    "rt_engine/contract/schema.py": "a schema of our own",
    "rt_engine/ops/table.py": "a page about our own operators",
    "station/demo/plant.py": "numbers, to the demo",
    "station/demo/plc_program.py": "numbers, to who runs it by hand",
    "station/show/log.py": "events, made visible right there",
}
"""File -> why it may use `print`."""


def _is_text_open(call: ast.Call) -> bool:
    """`open(path)`, `path.open("w")`: not of bytes, nor what only has that name."""
    mode = call.args[1 if isinstance(call.func, ast.Name) else 0 :][:1]
    modes = [k.value for k in call.keywords if k.arg == "mode"] or mode
    if isinstance(call.func, ast.Attribute) and not modes:
        return False
    return all(isinstance(m, ast.Constant) and "b" not in str(m.value) for m in modes)


def faults(source: str, name: str) -> Iterator[str]:
    """Lines of a file of ours that read or print text in a way of their own."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "html" and name != "rt_native/text.py":
            yield f"{name}:{node.lineno}: use rt_native.text.in_html, which escapes controls too"
        if not isinstance(node, ast.Call):
            continue
        is_name = isinstance(node.func, ast.Name)
        called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        has_encoding = any(k.arg == "encoding" for k in node.keywords)
        if called == "Console" and is_name:
            yield f"{name}:{node.lineno}: a console that lets controls pass; use rt_native.terminal"
        if called == "print" and is_name and name not in PRINTS_ITSELF:
            yield f"{name}:{node.lineno}: print lets controls pass; use `say`"
        if called in TEXT_METHODS and not has_encoding and len(node.args) <= TEXT_METHODS[called]:
            yield f"{name}:{node.lineno}: {called} in the locale's charset; say encoding"
        if called == "open" and not has_encoding and _is_text_open(node):
            yield f"{name}:{node.lineno}: open in the locale's charset; say encoding"


def files() -> Iterator[Path]:
    for folder in FOLDERS:
        yield from sorted((ROOT / folder).rglob("*.py"))


def test_files_are_read_as_utf8_and_text_is_printed_in_one_way():
    found = []
    for path in files():
        name = str(path.relative_to(ROOT))
        own = name.partition("/")[0] in LAYERS
        lines = faults(path.read_text(encoding="utf-8"), name)
        found += [line for line in lines if own or "charset" in line]
    assert not found, "\n".join(found)


def test_who_prints_itself_still_does():
    for name in PRINTS_ITSELF:
        assert "print(" in (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "source",
    [
        "open(p)",
        "open(p, 'w')",
        "p.open('a')",
        "p.read_text()",
        "p.write_text('x')",
        "p.read_text(errors='replace')",
        "print(x)",
        "from html import escape",
        "Console(stderr=True)",
    ],
)
def test_each_fault_is_seen(source):
    assert len(list(faults(source, "station/cli.py"))) == 1


@pytest.mark.parametrize("source", ["open(p, 'rb')", "p.open('wb')", "line.open()", "p.read_text('utf-8')", "say(x)"])
def test_what_is_right_is_no_fault(source):
    assert not list(faults(source, "station/cli.py"))
