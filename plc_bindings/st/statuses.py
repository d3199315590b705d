"""All status numbers with names that are unique in Structured Text, and a line about each."""

from __future__ import annotations

import ast
import inspect
from enum import IntEnum
from typing import Final

from plc_bindings.st.names import KEYWORDS
from plc_bindings.st.project import comment
from plc_bindings.status import KINDS

_PREFIXES: Final = {"Status": "MODEL", "TaskStatus": "TASK", "CallStatus": "CALL", "LibraryStatus": "LIBRARY"}


def _meanings(kind: type[IntEnum]) -> dict[str, str]:
    """Name -> first line of the text below it in the source."""
    body = ast.parse(inspect.getsource(kind).strip()).body[0]
    assert isinstance(body, ast.ClassDef)
    found, last = {}, ""
    for node in body.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            last = node.targets[0].id
        elif last and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found[last] = " ".join(str(node.value.value).split())
            last = ""
    return found


def _statuses() -> tuple[tuple[str, int, str], ...]:
    found = {"OK": (0, "Good.")}
    for kind in KINDS:
        meanings = _meanings(kind)
        for member in kind:
            if member.value:
                taken = member.name in found or member.name.lower() in KEYWORDS
                name = f"{_PREFIXES[kind.__name__]}_{member.name}" if taken else member.name
                found[name] = (int(member), comment(meanings[member.name]))
    return tuple((name, *rest) for name, rest in found.items())


STATUSES: Final = _statuses()
"""(name, number, meaning) in the order of their numbers; LIBRARY_OTHER_INTERFACE where a name is taken already."""
