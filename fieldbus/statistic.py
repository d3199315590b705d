"""What is counted, declared once, at the field of the dataclass that carries it:

    missed: int = counted("MissedTicks", heading="missed", is_live=True, is_fault=True)

From that come its key in the status and the report, its columns in tables, its element of the structure that PLC clients
see (so its ADS symbol and its Modbus registers), and its row in docs/station.md.
"""

from dataclasses import dataclass, field, fields, replace
from typing import Any

_KEY = "statistic"


@dataclass(frozen=True, slots=True)
class Statistic:
    """One number that a task or a link counts.

    Attributes:
        symbol: the element of `ST_RtTask` or `ST_RtLink`; empty: PLC clients do not see it. A new one lies behind all
            others, so nothing moves.
        type: of that element (IEC 61131-3); a number that is too large for it begins again at 0.
        unit: of the number.
        meaning: what it is, where its name does not say it.
        heading: of its column in the report, broken at newlines where that must be narrow; empty: it has none.
        is_live: has the table on the terminal that column too?
        is_fault: is any number but 0 bad news?
        name: of the field, and its key in the status.
    """

    symbol: str = ""
    type: str = "ULINT"
    unit: str = ""
    meaning: str = ""
    heading: str = ""
    is_live: bool = False
    is_fault: bool = False
    name: str = ""


def counted(*args: Any, **keywords: Any) -> Any:
    """A field of a dataclass that is a `Statistic` with these attributes."""
    return field(metadata={_KEY: Statistic(*args, **keywords)})


def declared(kind: type[Any]) -> tuple[Statistic, ...]:
    """The statistics among the fields of a dataclass, in their order."""
    return tuple(replace(f.metadata[_KEY], name=f.name) for f in fields(kind) if _KEY in f.metadata)
