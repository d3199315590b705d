"""Which line of a TOML file a key stands on.

`tomllib` gives values without positions. This scanner walks text that `tomllib` has already accepted, so it never
has to judge whether the text is right: it only has to find where keys, values and array elements begin.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterable
from typing import Final

KeyPath = tuple[str | int, ...]

_BLANK: Final = " \t\r\n"
_BARE = re.compile(r"[ \t]*([A-Za-z0-9_-]+)[ \t]*")


class Lines:
    """Line numbers (from 1) of the key paths of one TOML text, for example `("tags", "speed", "scale")`.

    Array elements are integers in the path: `("tasks", "axis", "inputs", 2, "tag")`.
    """

    def __init__(self, text: str) -> None:
        """Scan `text`, which must be valid TOML."""
        self.text = text
        self._lines = _Scanner(text).scan()

    def of(self, path: Iterable[str | int]) -> int:
        """Line of the key, or of the nearest key above it that the file has; 1 when it has none of them."""
        steps = tuple(path)
        while steps:
            if steps in self._lines:
                return self._lines[steps]
            steps = steps[:-1]
        return 1


class _Scanner:
    """One pass over the text; `_at` is the reading position."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._starts = [0] + [i + 1 for i, char in enumerate(text) if char == "\n"]
        self._lines: dict[KeyPath, int] = {}
        self._tables_seen: dict[KeyPath, int] = {}

    def scan(self) -> dict[KeyPath, int]:
        table: KeyPath = ()
        while self._skip_blank():
            if self._text.startswith("[[", self._at):
                table = self._array_header()
            elif self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
        return self._lines

    def _header(self) -> KeyPath:
        at = self._at
        self._at += 1
        path = self._resolve(self._key("]"))
        self._at += 1
        self._note(path, at, replace=True)
        return path

    def _array_header(self) -> KeyPath:
        at = self._at
        self._at += 2
        *parents, last = self._key("]")
        array = (*self._resolve(tuple(parents)), last)
        self._at += 2
        index = self._tables_seen.get(array, -1) + 1
        self._tables_seen[array] = index
        self._note((*array, index), at)
        return (*array, index)

    def _resolve(self, keys: tuple[str, ...]) -> KeyPath:
        """Path of a header's keys; a key that names an array of tables means its newest element."""
        path: KeyPath = ()
        for key in keys:
            path = (*path, key)
            if path in self._tables_seen:
                path = (*path, self._tables_seen[path])
        return path

    def _pair(self, table: KeyPath) -> None:
        at = self._at
        path = (*table, *self._key("="))
        self._note(path, at)
        self._at += 1
        self._value(path)

    def _key(self, end: str) -> tuple[str, ...]:
        """Read a dotted key up to, not including, `end`."""
        bare = _BARE.match(self._text, self._at)
        if bare and self._text.startswith(end, bare.end()):  # as nearly all are: no need to ask TOML's own reader
            self._at = bare.end()
            return (bare[1],)
        start = self._at
        while self._text[self._at] != end:
            if self._text[self._at] in "\"'":
                self._string()
            else:
                self._at += 1
        return _steps(self._text[start : self._at])

    def _value(self, path: KeyPath) -> None:
        self._skip_blank()
        match self._text[self._at]:
            case '"' | "'":
                self._string()
            case "[":
                self._array(path)
            case "{":
                self._inline_table(path)
            case _:
                while self._at < len(self._text) and self._text[self._at] not in ",]}#\n":
                    self._at += 1

    def _array(self, path: KeyPath) -> None:
        self._at += 1
        index = 0
        while self._next_element("]"):
            self._note((*path, index), self._at)
            self._value((*path, index))
            index += 1

    def _inline_table(self, path: KeyPath) -> None:
        self._at += 1
        while self._next_element("}"):
            self._pair(path)

    def _next_element(self, end: str) -> bool:
        self._skip_blank()
        if self._text[self._at] == ",":
            self._at += 1
            self._skip_blank()
        if self._text[self._at] != end:
            return True
        self._at += 1
        return False

    def _string(self) -> None:
        quote = self._text[self._at]
        closing = quote * 3 if self._text.startswith(quote * 3, self._at) else quote
        self._at += len(closing)
        while not self._text.startswith(closing, self._at):
            self._at += 2 if quote == '"' and self._text[self._at] == "\\" else 1
        self._at += len(closing)
        while len(closing) == 3 and self._text.startswith(
            quote, self._at
        ):  # up to two quotes may precede the closing three
            self._at += 1

    def _skip_blank(self) -> bool:
        """Skip spaces, line ends and comments; False at the end of the text."""
        while self._at < len(self._text):
            if self._text[self._at] == "#":
                end = self._text.find("\n", self._at)
                self._at = len(self._text) if end < 0 else end
            elif self._text[self._at] in _BLANK:
                self._at += 1
            else:
                return True
        return False

    def _note(self, path: KeyPath, at: int, replace: bool = False) -> None:
        line = bisect_right(self._starts, at)
        for length in range(1, len(path)):
            self._lines.setdefault(path[:length], line)
        if replace or path not in self._lines:
            self._lines[path] = line


def _steps(dotted: str) -> tuple[str, ...]:
    """`a . "b.c"` -> `("a", "b.c")`, by TOML's own reader."""
    steps: list[str] = []
    table = tomllib.loads(f"{dotted}=0")
    while isinstance(table, dict):
        key, table = next(iter(table.items()))
        steps.append(key)
    return tuple(steps)
