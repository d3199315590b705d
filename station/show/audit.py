"""The changes of a station, for people and spreadsheets: what the hash chain proves in words, and every line as a row."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from plc_bindings.security.audit import changes_of
from plc_bindings.security.chain import Line
from plc_bindings.security.verifying import Verified
from rt_native.text import in_cell, visible

FIRST: Final = ("number", "time", "who", "what", "outcome", "times")
LAST: Final = ("previous", "hash", "file", "line")
"""Columns before and behind those of keys that only some lines have (`slot`, `sha256`, `state`, ...)."""
_ROTATED: Final = re.compile(r"\.[0-9]{1,9}$", re.ASCII)


def log_at(path: Path) -> Path:
    """The file that changes are written to, of any file of an audit log: `audit.jsonl`, `audit.changes.jsonl.3`."""
    plain = path.with_name(_ROTATED.sub("", path.name))
    beside = changes_of(plain)
    return beside if plain.suffixes[-2:-1] != [".changes"] and beside.exists() else plain


def words(path: Path, verified: Verified) -> Iterator[tuple[str, bool]]:
    """What a log proves, line by line, and whether that is good."""
    for note in verified.notes:
        yield visible(note), True
    if verified.older:
        yield f"{verified.older} lines are from before the chain, which is linked to them", True
    if verified.broken is not None:
        yield visible(str(verified.broken)), False
        yield f"{verified.records} records before it are as they were written", True
    if verified.known:
        yield verified.known, False
    if verified.is_whole:
        number, head = verified.head.number, verified.head.hash
        yield f"{path}: {verified.records} changes are as they were written, and in their order", True
        if number:
            yield f"head {head} (record {number})", True


def to_json(path: Path, verified: Verified) -> dict[str, Any]:
    """The same for programs."""
    broken = verified.broken
    place = ("kind", "file", "line", "number", "time", "why")
    return {
        "log": str(path),
        "whole": verified.is_whole,
        "records": verified.records,
        "lines_before_the_chain": verified.older,
        "head": {"number": verified.head.number, "hash": verified.head.hash},
        "broken": {key: getattr(broken, key) for key in place} if broken is not None else None,
        "known_head": verified.known,
        "notes": list(verified.notes),
    }


def to_csv(lines: Sequence[Line]) -> str:
    """Every line as a row under a heading, as RFC 4180 says; one that cannot be read is shown in `outcome` as it is."""
    rows = [_row(line) for line in lines]
    more = sorted({key for row in rows for key in row} - {*FIRST, *LAST})
    text = io.StringIO()
    writer = csv.DictWriter(text, (*FIRST, *more, *LAST), restval="")
    writer.writeheader()
    writer.writerows({key: in_cell(value) for key, value in row.items()} for row in rows)
    return text.getvalue()


def _row(line: Line) -> dict[str, str]:
    try:
        entry = json.loads(line.raw)
    except (ValueError, RecursionError):
        entry = None
    if not isinstance(entry, dict):
        entry = {"outcome": "not readable: " + line.raw.decode(errors="surrogateescape").rstrip("\n")}
    return {key: str(value) for key, value in entry.items()} | {"file": line.file, "line": str(line.at)}
