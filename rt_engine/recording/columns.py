"""The columns of a task's records, with the names of the station file."""

from dataclasses import dataclass
from difflib import get_close_matches
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from rt_engine.errors import RecordingError
from rt_engine.recording.layout import HEAD, SOURCE_HEAD, Field, Records, TaskLayout


@dataclass(frozen=True, slots=True)
class Column:
    """One value of each cycle, or an array of each.

    Args:
        path: fields of the dtype, with dots: "published.force".
        name: as the station file has it; of the words of a head, as the dtype.
        unit: "": not known.
        count: values of each cycle.
    """

    path: str
    name: str
    unit: str = ""
    count: int = 1

    def of(self, records: Records) -> NDArray[np.generic]:
        """A view, of shape (n,), or (n, count)."""
        return reduce(lambda part, name: part[name], self.path.split("."), records)

    def flat(self, records: Records) -> "list[tuple[str, NDArray[np.generic]]]":
        """(path, values) of each of its values; of an array "path.0", "path.1", ..."""
        whole = self.of(records)
        if self.count == 1:
            return [(self.path, whole)]
        return [(f"{self.path}.{number}", whole[:, number]) for number in range(self.count)]


def columns(layout: TaskLayout) -> tuple[Column, ...]:
    """All, in the order of a record."""
    found = [Column(name, name, "", HEAD[name].shape[0] if HEAD[name].shape else 1) for name in HEAD.names or ()]
    for number, (link, source) in enumerate(zip(layout.source_names, layout.sources, strict=True)):
        found += [Column(f"inputs.{link}.{name}", f"{source.link}.{name}") for name in SOURCE_HEAD.names or ()]
        found += _fields(f"inputs.{link}", layout.tag_names(number), source.tags)
    for part in ("raw", "published") if layout.outputs else ():
        found += _fields(part, layout.output_names, layout.outputs)
    return tuple(found)


def _fields(path: str, names: tuple[str, ...], fields: tuple[Field, ...]) -> list[Column]:
    return [Column(f"{path}.{name}", f.name, f.unit, f.count) for name, f in zip(names, fields, strict=True)]


def column(layout: TaskLayout, name: str) -> Column:
    """The column with that path or, where one alone has it, that name; an output's name means what was published.

    Raises:
        RecordingError: there is none, or several; it names those that there are.
    """
    known = columns(layout)
    for found in ([c for c in known if c.path == name], [c for c in known if c.name == name and c.path[:4] != "raw."]):
        if len(found) == 1:
            return found[0]
        if found:
            raise RecordingError(
                f"several columns are called '{name}': write one of {', '.join(c.path for c in found)}"
            )
    near = get_close_matches(name, sorted({word for c in known for word in (c.name, c.path)}), 1)
    meant = f"; did you mean '{near[0]}'? It has" if near else "; it has"
    raise RecordingError(f"task '{layout.task}' has no column '{name}'{meant} {', '.join(c.path for c in known)}")
