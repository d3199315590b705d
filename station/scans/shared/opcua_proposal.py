"""The variables of an OPC UA server for people, for programs, and as a station file: every number is a tag, and every tag an input."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rt_native.terminal import Column, Sheet
from rt_native.text import visible
from station.scans.shared.proposed import head_of, text_of_file
from station.scans.shared.toml_text import inline, text_of

if TYPE_CHECKING:
    from fieldbus.opcua.browsing import Variable
    from fieldbus.opcua.session import Where

MOST_TAGS: Final = 2000
"""That are proposed; the others are counted."""
LONGEST: Final = 2000
"""Values of a tag."""
_MOST_ROWS: Final = 500
_WIDEST: Final = 40


@dataclass(frozen=True, slots=True)
class ServerFound:
    """What was found; `is_cut`: there was more."""

    where: Where
    variables: tuple[Variable, ...]
    is_cut: bool


def sheet(found: ServerFound) -> Sheet:
    """A row for each variable."""
    columns = [
        Column("path", folds=True), Column("type"), Column("value", rank=1), Column("unit", rank=2), Column("access", rank=3),
        Column("address", rank=4, folds=True),
    ]  # fmt: skip
    sheet = Sheet(columns)
    for one in found.variables[:_MOST_ROWS]:
        kind = f"{one.builtin}[{one.count}]" if one.count else one.builtin
        access = "read, write" if one.is_writable else "read"
        sheet.add("/".join(one.path), kind, _short(one.value), one.unit, access, one.address.text)
    return sheet


def as_dicts(found: ServerFound) -> list[dict[str, Any]]:
    """The same for programs."""
    return [
        {
            "path": list(one.path),
            "address": one.address.text,
            "type": one.type or None,
            "opcua_type": one.builtin,
            "count": one.count,
            "unit": one.unit,
            "range": list(one.limits) if one.limits else None,
            "writable": one.is_writable,
            "value": one.value if isinstance(one.value, int | float | str | bool | list) else str(one.value),
        }
        for one in found.variables
    ]


def proposal(found: ServerFound, command: str) -> str:
    """The station file's text."""
    numbers = [one for one in found.variables if one.type and one.count <= LONGEST]
    lines = [
        *head_of(command),
        "[links.server]",
        *_link(found.where),
        "",
        "[tags]",
        *_tags(numbers[:MOST_TAGS]),
    ]
    if len(numbers) > MOST_TAGS or found.is_cut:
        lines.append(f"# There are more than these {min(len(numbers), MOST_TAGS)}: name a part of them with --under.")
    return text_of_file(lines)


def _link(where: Where) -> Iterator[str]:
    yield 'type = "opcua"'
    yield f"url = {text_of(where.url)}"
    if where.security != "Basic256Sha256":
        yield f"security = {text_of(where.security)}"
    if where.mode != "sign-and-encrypt":
        yield f"mode = {text_of(where.mode)}"
    if where.security != "none" and str(where.certificates) != "opcua":
        yield f"certificates = {text_of(str(where.certificates))}"
    if where.user:
        yield f"user = {text_of(where.user)}"
        yield f"password_file = {text_of(str(where.password_file))}"


def _tags(variables: Sequence[Variable]) -> Iterator[str]:
    for name, one in zip(names([one.path for one in variables]), variables, strict=True):
        keys: dict[str, Any] = {"type": one.type, "address": one.address.text}
        keys |= {"count": one.count} if one.count > 1 else {}
        keys |= {"address": one.address.first.text} if one.count == 1 else {}
        keys |= {"unit": one.unit} if one.unit else {}
        span = f", {one.limits[0]:g} to {one.limits[1]:g}" if one.limits else ""
        rights = ", may be written" if one.is_writable else ""
        yield f"{name} = {inline(keys)}   # {visible('/'.join(one.path))}: {_short(one.value)}{span}{rights}"


def names(paths: Sequence[tuple[str, ...]]) -> list[str]:
    """For each way a name that a tag can have, unlike all others: of its end as much as it needs."""
    found: dict[str, None] = {}
    ends = {depth: Counter(_plain(path[-depth:]) for path in paths) for depth in (1, 2, 3)}
    for path in paths:
        depth = next((d for d, counts in ends.items() if counts[_plain(path[-d:])] == 1), len(path))
        plain = name = _plain(path[-depth:])
        number = 2
        while name in found:
            name, number = f"{plain}_{number}", number + 1
        found[name] = None
    return list(found)


def _plain(path: tuple[str, ...]) -> str:
    name = re.sub(r"[^A-Za-z0-9]+", "_", "_".join(path)).strip("_") or "tag"
    return f"tag_{name}" if name[0].isdigit() else name


def _short(value: Any) -> str:
    text = " ".join(visible(str(value)).split())
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."
