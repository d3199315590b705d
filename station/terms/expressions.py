"""Conditions on tags, as `[recorder] when` has them: `abs(speed) > 3 and valve[1] < 0.5`.

    or         a or b                    words, lowest first; parentheses
    and        a and b
    not        not a
    compare    a < b   <=   >   >=   ==   !=
    sum        a + b   a - b
    product    a * b   a / b
    sign       -a
    value      3.5   tag   tag[2]   true   false   abs(a)   min(a, b, ...)   max(a, b, ...)   finite(a)   changed(a)

A number holds where it is other than 0 and not NaN. `finite(a)`: neither NaN nor infinite. `changed(a)`: another value than in the
cycle before. Names of tags may hold `-` and `.`: the longest declared name counts, and blanks around a minus make it one.

Evaluated for many cycles at once (`Condition.holds`); nothing of Python's can be reached from a text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from station.terms.findings import unknown

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_CHARS: Final = 2000
DEEPEST: Final = 50
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_][A-Za-z0-9_.-]*)|(?P<sign><=|>=|==|!=|[-+*/<>()\[\],]))",
    re.ASCII,
)
_WORDS: Final = frozenset({"and", "or", "not", "true", "false"})
_FUNCTIONS: Final = {"abs": (1, 1), "min": (2, 16), "max": (2, 16), "finite": (1, 1), "changed": (1, 1)}
"""Function -> least and greatest number of values."""
_COMPARE: Final = ("<=", ">=", "==", "!=", "<", ">")


class ExpressionError(ValueError):
    """A text is no condition; says where, and what is allowed."""


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a tag."""

    tag: str
    cell: int = 0


@dataclass(frozen=True, slots=True)
class Node:
    """What an operation is made of: numbers, values, operations. `number` tells one `changed` from another."""

    does: str
    of: tuple[Node | Value | float, ...]
    number: int = 0


Tree = Node | Value | float


@dataclass(frozen=True, slots=True)
class Condition:
    """A text that was read."""

    text: str
    root: Tree

    @property
    def values(self) -> tuple[Value, ...]:
        """The values of tags that it is about, each once."""
        return tuple(dict.fromkeys(_values(self.root)))

    def holds(self, values: Callable[[Value], NDArray[Any]], count: int, memory: dict[int, float]) -> NDArray[Any]:
        """Where it holds: a bool for each of `count` cycles that follow those of the last call.

        Args:
            values: gives a float64 for each cycle.
            memory: what `changed` keeps from one call to the next; empty at first, when nothing has changed yet.
        """
        import numpy as np

        with np.errstate(all="ignore"):
            found = np.broadcast_to(_truth(_evaluate(self.root, values, memory, count)), (count,))
        return np.ascontiguousarray(found)


def parse(text: str, tags: Mapping[str, int]) -> Condition:
    """The condition that a text is, on tags (name -> how many values it has).

    Raises:
        ExpressionError: says where and what is allowed; names the nearest tag.
    """
    if len(text) > MOST_CHARS:
        raise ExpressionError(f"has {len(text)} characters; at most {MOST_CHARS}")
    reader = _Reader(_tokens(text, tags), tags)
    root = reader.either(0)
    reader.end()
    condition = Condition(text, root)
    if not condition.values:
        raise ExpressionError(f'"{text}" is about no tag: it is always the same')
    return condition


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


def _tokens(text: str, tags: Mapping[str, int]) -> list[_Token]:
    found, at = [], 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None:
            at = len(text) - len(text[at:].lstrip())
            raise ExpressionError(
                f'"{text[at]}" at character {at + 1} means nothing here; allowed: + - * / < <= > >= == != and or not ( ) [ ]'
            )
        kind = str(match.lastgroup)
        word = match[kind]
        if kind == "name":
            word = _longest(word, tags)
        start = match.start(kind)
        found.append(_Token(kind, word, start + 1))
        at = start + len(word)
    return [*found, _Token("end", "", len(text) + 1)]


def _longest(word: str, tags: Mapping[str, int]) -> str:
    """The longest beginning, up to a minus, that is a tag or a word; where none is, up to the first that could be a minus sign."""
    ends = [len(word), *(at for at in range(len(word) - 1, 0, -1) if word[at] == "-")]
    return next((word[:end] for end in ends if word[:end] in tags or word[:end] in _WORDS), word)


class _Reader:
    """Tokens -> tree, by descent; one method for each line of the grammar."""

    def __init__(self, tokens: list[_Token], tags: Mapping[str, int]) -> None:
        self._tokens, self._tags, self._at, self._changes = tokens, tags, 0, 0

    def end(self) -> None:
        if self._now.kind != "end":
            raise ExpressionError(f"expected an end or an operator at character {self._now.at}, got {self._shown}")

    def either(self, depth: int) -> Tree:
        if depth > DEEPEST:
            raise ExpressionError(f"is nested deeper than {DEEPEST}")
        return self._row(("or",), self._both, depth)

    def _both(self, depth: int) -> Tree:
        return self._row(("and",), self._negated, depth)

    def _negated(self, depth: int) -> Tree:
        if depth > DEEPEST:
            raise ExpressionError(f"is nested deeper than {DEEPEST}")
        if self._takes("not"):
            return Node("not", (self._negated(depth + 1),))
        left = self._sum(depth)
        sign = self._takes(*_COMPARE)
        if not sign:
            return left
        compared = Node(sign, (left, self._sum(depth)))
        if self._now.text in _COMPARE:
            raise ExpressionError(f'two comparisons in a row at character {self._now.at}; write "low < x and x < high"')
        return compared

    def _sum(self, depth: int) -> Tree:
        return self._row(("+", "-"), self._product, depth)

    def _product(self, depth: int) -> Tree:
        return self._row(("*", "/"), self._signed, depth)

    def _signed(self, depth: int) -> Tree:
        if depth > DEEPEST:
            raise ExpressionError(f"is nested deeper than {DEEPEST}")
        return Node("neg", (self._signed(depth + 1),)) if self._takes("-") else self._value(depth)

    def _row(self, signs: tuple[str, ...], part: Callable[[int], Tree], depth: int) -> Tree:
        left = part(depth)
        while sign := self._takes(*signs):
            left = Node(sign, (left, part(depth)))
        return left

    def _value(self, depth: int) -> Tree:
        token = self._now
        if self._takes("("):
            inner = self.either(depth + 1)
            self._needs(")")
            return inner
        if token.kind == "number":
            self._at += 1
            return float(token.text)
        if token.kind != "name" or token.text in ("and", "or", "not"):
            raise ExpressionError(f"expected a tag or a number at character {token.at}, got {self._shown}")
        self._at += 1
        if token.text in ("true", "false") and token.text not in self._tags:
            return float(token.text == "true")
        if self._now.text == "(" and (token.text in _FUNCTIONS or token.text not in self._tags):
            return self._call(token, depth)
        return self._tag(token)

    def _call(self, name: _Token, depth: int) -> Node:
        if name.text not in _FUNCTIONS:
            raise ExpressionError(unknown("function", name.text, _FUNCTIONS))
        self._needs("(")
        of = [self.either(depth + 1)]
        while self._takes(","):
            of.append(self.either(depth + 1))
        self._needs(")")
        least, most = _FUNCTIONS[name.text]
        if not least <= len(of) <= most:
            wanted = f"{least}" if least == most else f"{least} to {most}"
            raise ExpressionError(f"{name.text}() takes {wanted} value{'s' if most > 1 else ''}, got {len(of)}")
        self._changes += name.text == "changed"
        return Node(name.text, tuple(of), self._changes)

    def _tag(self, name: _Token) -> Value:
        if name.text not in self._tags:
            raise ExpressionError(unknown("tag", name.text, self._tags))
        count, cell = self._tags[name.text], None
        if self._takes("["):
            number = self._now
            if number.kind != "number" or not number.text.isdecimal():
                raise ExpressionError(f"expected a whole number at character {number.at}, got {self._shown}")
            self._at += 1
            self._needs("]")
            cell = int(number.text)
        if cell is None and count > 1:
            raise ExpressionError(
                f"tag {name.text} has {count} values; write {name.text}[0] to {name.text}[{count - 1}]"
            )
        if (cell or 0) >= count:
            raise ExpressionError(
                f"tag {name.text} has {count} value{'s' if count != 1 else ''}, the first is 0; "
                f"there is no {name.text}[{cell}]"
            )
        return Value(name.text, cell or 0)

    @property
    def _now(self) -> _Token:
        return self._tokens[self._at]

    @property
    def _shown(self) -> str:
        return "the end" if self._now.kind == "end" else f'"{self._now.text}"'

    def _takes(self, *texts: str) -> str:
        """The next token, taken, if it is one of these; else empty."""
        token = self._now
        if token.text not in texts or token.kind == "end":
            return ""
        self._at += 1
        return token.text

    def _needs(self, text: str) -> None:
        if not self._takes(text):
            raise ExpressionError(f'expected "{text}" at character {self._now.at}, got {self._shown}')


def _values(node: Tree) -> Iterator[Value]:
    if isinstance(node, Value):
        yield node
    elif isinstance(node, Node):
        for inner in node.of:
            yield from _values(inner)


def _truth(value: Any) -> Any:
    """Other than 0, and a number."""
    return (value != 0) & (value == value)


def _evaluate(node: Tree, values: Callable[[Value], NDArray[Any]], memory: dict[int, float], count: int) -> Any:
    """A float64 or bool array of so many cycles, or one number for all."""
    import numpy as np

    if isinstance(node, Value):
        return values(node)
    if not isinstance(node, Node):
        return np.float64(node)
    of = [_evaluate(inner, values, memory, count) for inner in node.of]
    if node.does == "changed":
        return _changed(node.number, np.broadcast_to(np.asarray(of[0], np.float64), (count,)), memory)
    return _OPERATIONS[node.does](np, *of)


def _changed(number: int, now: Any, memory: dict[int, float]) -> Any:
    """Where a value is another than in the cycle before; NaN after NaN is no change."""
    import numpy as np

    if not len(now):
        return np.zeros(0, bool)
    before = np.concatenate(([memory.get(number, now[0])], now[:-1]))
    memory[number] = float(now[-1])
    return (now != before) & ~((now != now) & (before != before))


def _number(value: Any) -> Any:
    """A bool counts as 0 or 1: NumPy has no minus of two of them."""
    return value * 1.0


_OPERATIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "or": lambda np, a, b: _truth(a) | _truth(b),
    "and": lambda np, a, b: _truth(a) & _truth(b),
    "not": lambda np, a: ~np.asarray(_truth(a)),
    "<": lambda np, a, b: a < b,
    "<=": lambda np, a, b: a <= b,
    ">": lambda np, a, b: a > b,
    ">=": lambda np, a, b: a >= b,
    "==": lambda np, a, b: a == b,
    "!=": lambda np, a, b: a != b,
    "+": lambda np, a, b: _number(a) + _number(b),
    "-": lambda np, a, b: _number(a) - _number(b),
    "*": lambda np, a, b: _number(a) * _number(b),
    "/": lambda np, a, b: _number(a) / _number(b),
    "neg": lambda np, a: -_number(a),
    "abs": lambda np, a: abs(_number(a)),
    "min": lambda np, a, *more: _fold(np.minimum, a, more),
    "max": lambda np, a, *more: _fold(np.maximum, a, more),
    "finite": lambda np, a: np.isfinite(a),
}


def _fold(function: Callable[..., Any], first: Any, more: tuple[Any, ...]) -> Any:
    found = _number(first)
    for value in more:
        found = function(found, _number(value))
    return found
