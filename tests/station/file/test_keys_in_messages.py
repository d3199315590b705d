"""Keys that a message names are keys of a station file: nobody is told to write what would be refused."""

import ast
import re

import pytest

from station.file.schema import schema_text
from tests import ROOT

FOLDERS = (
    "fieldbus",
    "scheduler",
    "station/file",
    "station/links",
    "station/servers",
    "station/terms",
    "station/wiring",
)
NAMED = re.compile(r'\b([a-z][a-z_0-9]*) = (?:true|false|\[|"|\d)|key "([a-z_]+)"|\bset ([a-z][a-z_0-9]*) (?:=|to)')
"""`fc23 = false`, the key "link", set x to y."""

EXAMPLES = {"h_out", "sr", "boxes", "speed", "anna", "line", "plant"}
"""Names of tensors, of a tag, and of somebody who looks at a page, in the description of a key."""


def said(source):
    """The texts of a file: of f-strings the parts that are written there; no docstrings."""
    tree = ast.parse(source)
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None
    }
    loose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs | loose:
            yield node.value


def named(source):
    return {name for text in said(source) for match in NAMED.findall(text) for name in match if name}


def test_messages_name_keys_that_exist():
    keys = set(re.findall(r'"([a-z_0-9]+)": \{', schema_text()))
    found = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if unknown := named(path.read_text(encoding="utf-8")) - keys - EXAMPLES:
                found[str(path.relative_to(ROOT))] = unknown
    assert not found
    assert named((ROOT / "fieldbus/modbus/link.py").read_text(encoding="utf-8")) == {
        "any_transaction_id",
        "any_unit",
        "connect_pause",
        "mask_writes",
        "other_bits",
        "request_pause",
    }


@pytest.mark.parametrize(
    "message", ["set read_write to false", "write gap = 3", 'needs the key "lnik"', "keys = [...]"]
)
def test_a_key_in_a_message_is_seen(message):
    assert len(named(f"raise ValueError({message!r})")) == 1
