"""Tables of others (JSON, TOML), read key by key: what is missing, unknown or of another type is refused with its place."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from rt_engine.errors import ContractError
from rt_native.text import visible

T = TypeVar("T")
SHOWN = 60
"""Characters of a value that a message shows."""
MOST_CHARACTERS = 16 << 20
"""Of one text; more is no description but data."""


class Reading:
    """One table, at a place that messages name: `inputs[0].elements[3]`."""

    def __init__(self, value: Any, place: str) -> None:
        self._place = place
        if not isinstance(value, Mapping):
            raise ContractError(f"{place} is {shown(value)}; it is a table of keys and values")
        self._left = dict(value)

    def at(self, key: str) -> str:
        """Where a key is, in words."""
        return f"{self._place}.{key}" if self._place else key

    def has(self, key: str) -> bool:
        """Is it there, and was it not taken yet?"""
        return key in self._left

    def text(self, key: str, default: str | None = None) -> str:
        """Text; without a default it has to be there."""
        value = self._take(key, default)
        if not isinstance(value, str):
            raise ContractError(f"{self.at(key)} is {shown(value)}; it is text")
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        """true or false."""
        value = self._take(key, default)
        if not isinstance(value, bool):
            raise ContractError(f"{self.at(key)} is {shown(value)}; it is true or false")
        return value

    def whole(self, key: str, default: int | None = None) -> int:
        """A whole number."""
        value = self._take(key, default)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise ContractError(f"{self.at(key)} is {shown(value)}; it is a whole number")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """A finite number; infinite ones are defaults, never written."""
        if key not in self._left and default is not None:
            return default
        return number(self._take(key), self.at(key))

    def numbers(self, key: str) -> tuple[float, ...]:
        """A list of finite numbers."""
        return tuple(number(value, f"{self.at(key)}[{at}]") for at, value in enumerate(self._list(key)))

    def tables(self, key: str) -> "list[Reading]":
        """A list of tables; none where it is left out."""
        return [Reading(value, f"{self.at(key)}[{at}]") for at, value in enumerate(self._list(key, []))]

    def table(self, key: str) -> "Reading":
        """A table; an empty one where it is left out."""
        return Reading(self._take(key, {}), self.at(key))

    def rows(self, key: str) -> tuple[tuple[float, ...], ...]:
        """A list of lists of numbers."""
        rows = []
        for at, row in enumerate(self._list(key)):
            place = f"{self.at(key)}[{at}]"
            if not isinstance(row, list):
                raise ContractError(f"{place} is {shown(row)}; it is a list of numbers")
            rows.append(tuple(number(value, f"{place}[{i}]") for i, value in enumerate(row)))
        return tuple(rows)

    def left(self) -> tuple[str, ...]:
        """Those that nobody took yet."""
        return tuple(self._left)

    def pairs(self) -> Iterator[tuple[str, str]]:
        """What is left, which is name -> text."""
        for key in list(self._left):
            yield key, self.text(key)

    def each(self, read: "Callable[[Any, str], T]") -> Iterator[tuple[str, T]]:
        """What is left, each value read with the place where it is."""
        for key in list(self._left):
            yield key, read(self._left.pop(key), self.at(key))

    def done(self) -> None:
        """Raise for a key that nobody took: it may be a mistyped one."""
        if self._left:
            where = f" of {self._place}" if self._place else ""
            raise ContractError(
                f"the key {shown(next(iter(self._left)))}{where} is not known; see `rt-engine contract --schema` for those that are"
            )

    @contextmanager
    def placed(self) -> Iterator[None]:
        """What a value says of itself when it is made, with its place."""
        try:
            yield
        except ContractError as error:
            raise ContractError(f"{self._place}: {error}" if self._place else str(error)) from None

    def _take(self, key: str, default: Any = None) -> Any:
        if key not in self._left:
            if default is None:
                raise ContractError(f"{self._place or 'the contract'} has no '{key}'; it has to be given")
            return default
        return self._left.pop(key)

    def _list(self, key: str, default: Any = None) -> list[Any]:
        value = self._take(key, default)
        if not isinstance(value, list):
            raise ContractError(f"{self.at(key)} is {shown(value)}; it is a list")
        return value


def json_of(text: str, key: str) -> Any:
    """What a text of JSON holds; without what JSON does not have (NaN), not too long, not too deep.

    Raises:
        ContractError: it is none; says why.
    """
    if len(text) > MOST_CHARACTERS:
        raise ContractError(f"{key} has {len(text):,} characters; the most is {MOST_CHARACTERS:,}")

    def refuse(token: str) -> Any:
        raise ContractError(
            f"{key} has the number {token}, which JSON does not know; leave the key out where there is no limit"
        )

    try:
        return json.loads(text, parse_constant=refuse)
    except RecursionError:
        raise ContractError(f"{key} is nested too deeply to be a contract; attach it again") from None
    except ValueError as error:  # JSONDecodeError; a number of too many digits
        raise ContractError(f"{key} is no JSON: {str(error)[:200]}; attach the contract again") from None


def number(value: Any, place: str) -> float:
    """A finite number at a place."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    except OverflowError:  # a whole number of 400 digits
        pass
    raise ContractError(
        f"{place} is {shown(value)}; it is a finite number (where there is no limit, leave the key out)"
    )


def shown(value: Any) -> str:
    """A value in a message: short, and without what steers a terminal."""
    if isinstance(value, str):
        return visible(repr(value[:SHOWN])) + ("..." if len(value) > SHOWN else "")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if -(1 << 64) < value < 1 << 64 else "a number of too many digits"
    if isinstance(value, float | None):
        return "nothing" if value is None else str(value)
    return (
        "a list" if isinstance(value, list) else "a table" if isinstance(value, dict) else f"a {type(value).__name__}"
    )
