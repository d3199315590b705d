"""Tags as people see them: value, unit, raw bytes, quality, age; which of them a pattern means."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import PlainSerializer, TypeAdapter
from rich.text import Text

from rt_native.terminal import Column, Sheet
from station.terms.durations import format_duration

if TYPE_CHECKING:
    from fieldbus.link.link import Link
    from fieldbus.link.values import TagValue
    from station.terms.tables import TagTable

STYLES: Final = {"GOOD": "green", "STALE": "yellow", "BAD": "red"}
ELEMENTS: Final = 4
BYTES: Final = 8
"""Of an array, so many values and bytes are shown; JSON has all."""
NEAR: Final = 3
NAMED: Final = 10
"""How many names a message gives."""
_WILD: Final = "*?["
_WHOLE: Final = 1e15
"""Below this a float64 that is a whole number is shown with all its digits."""


def _plain(number: float) -> float | str:
    return number if math.isfinite(number) else "NaN" if math.isnan(number) else f"{'-' * (number < 0)}Infinity"


Number = Annotated[float, PlainSerializer(_plain)]
"""JSON has no NaN and no infinity: there they are the texts "NaN", "Infinity" and "-Infinity"."""


@dataclass(frozen=True, slots=True)
class TagView:
    """One tag. `raw`: the bytes as they travelled, in hexadecimal digits, empty where they are not known; `age_ns`: since the
    value was asked for, or sent; None: never. `place`: the address in the device, as the station file has it."""

    name: str
    link: str
    direction: Literal["in", "out"]
    type: str
    place: str
    unit: str
    values: tuple[Number, ...]
    raw: str
    quality: Literal["GOOD", "STALE", "BAD"]
    age_ns: int | None

    @classmethod
    def of(cls, value: TagValue, link: str, place: str) -> TagView:
        """A tag as its link has it."""
        tag = value.tag
        return cls(
            name=tag.name,
            link=link,
            direction=tag.direction,
            type=tag.type,
            place=place,
            unit=tag.unit,
            values=value.values,
            raw=value.raw.hex(),
            quality=value.quality.name,  # type: ignore[arg-type]  # the enumeration's three names
            age_ns=value.age_ns,
        )

    @property
    def value(self) -> str:
        """The value, or the first few of an array."""
        more = f", ... ({len(self.values)} values)" if len(self.values) > ELEMENTS else ""
        return ", ".join(number_text(value) for value in self.values[:ELEMENTS]) + more

    @property
    def raw_bytes(self) -> str:
        """`41 AC 00 00`; `-`: not known."""
        data = bytes.fromhex(self.raw)
        more = f" ... ({len(data)} bytes)" if len(data) > BYTES else ""
        return data[:BYTES].hex(" ").upper() + more if data else "-"

    @property
    def age(self) -> str:
        """`2.5 ms`; `never`."""
        return "never" if self.age_ns is None else format_duration(self.age_ns, 2)


def to_json(tags: tuple[TagView, ...]) -> Any:
    """Plain lists, dictionaries and numbers."""
    return _adapter().dump_python(tags, mode="json")


def from_json(data: Any) -> tuple[TagView, ...]:
    """The inverse of `to_json`; raises `pydantic.ValidationError` on anything else."""
    return _adapter().validate_python(data)


@cache
def _adapter() -> TypeAdapter[tuple[TagView, ...]]:
    return TypeAdapter(tuple[TagView, ...])


def number_text(number: float) -> str:
    """`21.5`, `65535`, `2.36e-41`, `nan`."""
    if float(number).is_integer() and abs(number) < _WHOLE:
        return f"{int(number)}"
    return f"{number:.6g}"


def views(links: Mapping[str, Link], tags: Mapping[str, TagTable], names: Sequence[str]) -> tuple[TagView, ...]:
    """The named tags, as their links have them now."""
    if not names:
        return ()
    wanted = set(names)
    found = {
        value.tag.name: TagView.of(value, link_name, tags[value.tag.name].address)
        for link_name, link in links.items()
        for value in link.values(wanted)
    }
    return tuple(found[name] for name in names if name in found)


def matching(patterns: Iterable[str], names: Sequence[str]) -> list[str]:
    """The names that the patterns (`level`, `tank.*`) mean, in the order of `names`; all, when there is no pattern.

    Raises:
        KeyError: one means none; the message names the nearest.
    """
    patterns = list(patterns)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise KeyError(_no_tag(pattern, names))
    return [name for name in names if not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)]


def _no_tag(pattern: str, names: Sequence[str]) -> str:
    core = pattern.strip(_WILD).lower()
    same, part = (
        [name for name in names if core and fits(name.lower(), core)] for fits in (str.__eq__, str.__contains__)
    )
    near = same or part or difflib.get_close_matches(core, names, n=NEAR, cutoff=0.5)
    meant = " or ".join(f'"{name}"' for name in near[:NEAR])
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    kind = "tag matches" if any(sign in pattern for sign in _WILD) else "tag"
    hint = (
        f"did you mean {meant}?"
        if near
        else f"there are: {', '.join(names[:NAMED])}{more}"
        if names
        else "there is none"
    )
    return f'no {kind} "{pattern}"; {hint}'


def cells(tag: TagView, *before_address: str) -> tuple[str | Text, ...]:
    """A tag as a row of a table: from its name to its age, then what that table has besides, then its address."""
    name, quality = Text(tag.name, style="bold"), Text(tag.quality, style=STYLES[tag.quality])
    return name, tag.direction, tag.value, tag.unit, tag.raw_bytes, quality, tag.age, *before_address, tag.place


def sheet(tags: Sequence[TagView], more: int = 0) -> Sheet:
    """A table of tags; `more` says in a line below how many are left out."""
    caption = f"and {more:,} more tags: rt-engine watch [TAG ...] follows them" if more else ""
    table = Sheet(
        (
            Column("tag"),
            Column("in,\nout", rank=3),
            Column("value", right=True),
            Column("unit"),
            Column("raw", rank=2),
            Column("quality"),
            Column("age", rank=2, right=True),
            Column("address", rank=4),
        ),
        caption=caption,
    )
    for tag in tags:
        table.add(*cells(tag))
    return table
