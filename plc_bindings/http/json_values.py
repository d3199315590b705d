"""JSON <-> values, by orjson where it is installed (the extra `http`), else by Python's own `json`.

`exact` decides what JSON is, what a number is, and how what is wrong is called. `quick` gives the same values or raises, but for whole
numbers beyond 64 bits: they become floats, which no check of ours takes for whole ones. So: what is refused is read again, exactly.
"""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Callable, Sequence
from typing import Any, Final

try:
    _orjson: Any = importlib.import_module("orjson")
except ImportError:
    _orjson = None
Load = Callable[[bytes], Any]
"""The value of a text; raises `ValueError`, `RecursionError`."""
_DECODE: Final = json.JSONDecoder().decode
_ENCODE: Final = json.JSONEncoder(separators=(",", ":")).encode


def exact(text: bytes) -> Any:
    """As Python's `json`: whole numbers of any length, NaN, infinities."""
    return _DECODE(str(text, "utf-8"))


quick: Final[Load] = exact if _orjson is None else _orjson.loads


def encoded(value: Any) -> bytes:
    """One value."""
    return _ENCODE(value).encode()


def _numbers(values: Sequence[float]) -> bytes:
    if math.isfinite(sum(values)):
        return _ENCODE(values).encode()
    return _ENCODE([one if math.isfinite(one) else None for one in values]).encode()


numbers: Final[Callable[[Sequence[float]], bytes]] = _numbers if _orjson is None else _orjson.dumps
"""An array of numbers or bools; what is not finite is null."""
