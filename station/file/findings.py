"""What a check found, before it is given a line; and the wording that all checks share."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Step = str | int


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
    return next(iter(difflib.get_close_matches(name, list(allowed), n=1, cutoff=0.5)), None)


def dotted(path: Iterable[Step]) -> str:
    """`("tasks", "axis", "inputs", 2)` -> `tasks.axis.inputs[2]`; a key with a dot is quoted, as in the file."""
    text = ""
    for step in path:
        key = f'"{step}"' if isinstance(step, str) and "." in step else step
        text += f"[{key}]" if isinstance(step, int) else f".{key}" if text else str(key)
    return text
