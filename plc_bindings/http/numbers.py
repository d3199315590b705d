"""JSON in pieces, so that the interpreter is free between them: Python reads 100,000 numbers at once in about 10 ms.

    b'{"inputs": [{"name": "x", "data": [0.1, 0.2, ... ]}]}'
                                         ----------------   a `Span`: read later, some thousand numbers at a time

Only a flat array of numbers may be long. All else of a text has to be short: nested arrays and texts are quicker as binary tensors.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from plc_bindings.http.errors import Refusal
from plc_bindings.http.json_values import Load, exact

WHOLE: Final = 32 * 1024
"""A text of up to so many bytes is read at once."""
MOST_BESIDE: Final = 256 * 1024
"""Bytes of a text beside its long arrays of numbers."""
PIECE: Final = 8 * 1024
"""Bytes of an array that are read at once."""
_LONG: Final = 4096
_MARK: Final = secrets.token_hex(16)
"""Stands in the text where a long array stood; nobody outside can write it."""
_STOPS: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"|\[(?=[-+0-9.\s])', re.DOTALL)
"""A whole string, in which nothing begins; or what may be the beginning of an array of numbers."""


@dataclass(frozen=True, slots=True)
class Span:
    """A flat array of numbers that has not been read: `text[start:end]` is what stands between its brackets."""

    text: bytes
    start: int
    end: int

    def pieces(self, load: Load) -> Iterator[list[Any]]:
        """Its numbers, a part at a time; raises `ValueError`."""
        at = self.start
        while at <= self.end:
            cut = self.text.find(b",", min(at + PIECE, self.end), self.end)
            until = cut if cut >= 0 else self.end
            numbers = load(b"[%b]" % self.text[at:until])
            if not numbers:
                raise ValueError("an array ends with a comma")
            yield numbers
            at = until + 1


def read(text: bytes, load: Load = exact) -> tuple[Any, dict[str, Span]]:
    """(what the text says, mark -> long array that the mark stands for).

    Raises:
        Refusal: it is no JSON, or too long beside its arrays of numbers.
    """
    spans: dict[str, Span] = {}
    if len(text) > WHOLE:
        text = _without_long(text, spans)
    try:
        return load(text), spans
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"the body is no JSON: {_why(error)}") from None


def _why(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return "its text is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)


def _without_long(text: bytes, spans: dict[str, Span]) -> bytes:
    """The text with a mark for each long array of numbers."""
    parts: list[bytes] = []
    kept = at = beside = 0
    while (found := _STOPS.search(text, at, min(len(text), at + MOST_BESIDE))) is not None:
        beside += found.end() - at
        start, end = found.end(), text.find(b"]", found.end())
        at = found.end()
        if (
            text[found.start()] != 0x5B
            or end - start < _LONG
            or any(text.find(c, start, end) >= 0 for c in (b"[", b'"', b"{"))
        ):
            if beside > MOST_BESIDE:
                break
            continue
        mark = f"{_MARK}{len(spans)}"
        spans[mark] = Span(text, start, end)
        parts += (text[kept : found.start()], b'"%b"' % mark.encode())
        kept = at = end + 1
    parts.append(text[kept:])
    if sum(map(len, parts)) > MOST_BESIDE:
        raise Refusal(
            413,
            f"JSON of {len(text):,} bytes: more than {MOST_BESIDE:,} of them are no flat array of numbers; send such tensors "
            "flat, or binary (binary_data_size)",
        )
    return b"".join(parts)
