"""What a check found, before it is given a line; and the wording that all checks share."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Step = str | int
_BEGINNING = 3
"""Letters with which a name can be told from its beginning."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong, or odd, at a key path of the station file."""

    path: tuple[Step, ...]
    message: str
    severity: Literal["error", "warning"] = "error"


def unknown(kind: str, name: str, allowed: Iterable[str]) -> str:
    """`unknown tag "sped"; did you mean "speed"? allowed: speed, torque`."""
    names = sorted(allowed)
    nearest = nearest_name(name, names)
    hint = f'did you mean "{nearest}"? ' if nearest else ""
    return f'unknown {kind} "{name}"; {hint}allowed: {", ".join(names) or "none is declared"}'


def nearest_name(name: str, allowed: Iterable[str]) -> str | None:
    """The allowed name that a misspelt one most likely means; None when none is near."""
    names = list(allowed)
    begun = [one for one in names if one.startswith(name)] if len(name) >= _BEGINNING else []
    near = difflib.get_close_matches(name, names, cutoff=0.5)
    return begun[0] if len(begun) == 1 else next((one for one in near if one in begun), next(iter(near), None))


def no_file(path: tuple[Step, ...], folder: Path, named: str | None) -> Iterator[Finding]:
    """A finding when a file is named that does not exist."""
    if named and not os.path.isfile(folder / named):  # also a name that no file can have
        yield Finding(path, f"no such file: {folder / named}")


def no_function(path: tuple[Step, ...], folder: Path, where: str) -> Iterator[Finding]:
    """A finding when this is not "file.py:function", or there is no such file."""
    file, _, function = where.rpartition(":")
    if not file or not function.isidentifier():
        ready = f'; a ready step is a table: {{ type = "{where}", ... }}' if where.isidentifier() else ""
        yield Finding(path, f'"{where}" must be "file.py:function"{ready}')
    else:
        yield from no_file(path, folder, file)


def dotted(path: Iterable[Step]) -> str:
    """`("tasks", "axis", "inputs", 2)` -> `tasks.axis.inputs[2]`; a key with a dot is quoted, as in the file."""
    text = ""
    for step in path:
        key = f'"{step}"' if isinstance(step, str) and "." in step else step
        text += f"[{key}]" if isinstance(step, int) else f".{key}" if text else str(key)
    return text
