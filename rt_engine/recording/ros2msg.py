"""A NumPy dtype as a ROS 2 message definition: what Foxglove, PlotJuggler and `mcap` read records by.

A record of fields that are all 8 bytes wide is, byte for byte, the CDR body of the message that its dtype describes: CDR aligns to
8 bytes from the end of its encapsulation header, and fixed arrays and nested messages have no header of their own. Bytes
(`uint8[N]`) need no alignment, and come last.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping

import numpy as np

ENCAPSULATION = bytes((0, 1, 0, 0))
"""CDR, little-endian, no options: what comes before each record."""
PACKAGE = "rt_engine_msgs"

_TYPES = {"<i8": "int64", "<f8": "float64", "|u1": "uint8"}
_RULE = "=" * 80


def safe_name(text: str) -> str:
    """`text` as a field of a ROS 2 message: [a-z][a-z0-9_]*, no underscore at the end, none doubled."""
    plain = (
        unicodedata.normalize("NFKD", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)).encode("ascii", "ignore").decode()
    )
    name = re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")
    return name if name[:1].isalpha() else f"n{name}"


def safe_names(texts: Iterable[str], taken: Iterable[str] = ()) -> tuple[str, ...]:
    """`safe_name` of each, all different and none of those `taken`: where they would collide a number follows."""
    used, names = set(taken), []
    for text in texts:
        name = first = safe_name(text)
        number = 2
        while name in used:
            name, number = f"{first}{'' if first[-1].isalpha() else '_'}{number}", number + 1
        used.add(name)
        names.append(name)
    return tuple(names)


def definition(dtype: np.dtype[np.void], notes: Mapping[tuple[str, ...], str]) -> str:
    """The message of `dtype`, and those nested in it. `notes`: path of a field -> what is said of it, in a comment."""
    parts: list[str] = []
    nested: list[tuple[str, str]] = []
    _message(dtype, (), notes, parts, nested)
    texts = [parts[-1], *(f"{_RULE}\nMSG: {PACKAGE}/{name}\n{text}" for name, text in nested)]
    return "".join(texts)


def _message(
    dtype: np.dtype[np.void],
    path: tuple[str, ...],
    notes: Mapping[tuple[str, ...], str],
    parts: list[str],
    nested: list[tuple[str, str]],
) -> None:
    """Append the lines of one message to `parts`, and the messages of its fields, with their names, to `nested`."""
    lines = []
    for name in dtype.names or ():
        field, where = dtype[name], (*path, name)
        base, shape = field.subdtype if field.subdtype else (field, ())
        if base.names is None:
            kind = _TYPES[base.str]
        else:
            message, at = "".join(part.title().replace("_", "") for part in where), len(nested)
            while message in {known for known, _ in nested}:
                message += "X"
            nested.append((message, ""))
            _message(base, where, notes, parts, nested)
            nested[at] = message, parts.pop()
            kind = f"{PACKAGE}/{message}"
        size = f"[{shape[0]}]" if shape else ""
        note = f"  # {' '.join(notes[where].split())}" if where in notes else ""
        lines.append(f"{kind}{size} {name}{note}\n")
    parts.append("".join(lines))
