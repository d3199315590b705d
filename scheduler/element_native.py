"""One element of a tensor, as float64: the types of `scheduler.task_block.TYPES`, by their number.

Floats become integers by rounding to the nearest (ties to even) and saturating; NaN becomes 0. A bool is "not zero".
64-bit integers are exact up to 2**53.
"""

import math
from collections.abc import Callable
from typing import Any

from rt_engine.kernels.interface.dtypes import DType
from rt_native import lang
from rt_native.lang import inline, store_i8
from scheduler.task_block import TYPES

_MOST = math.nextafter(2.0**63, 0.0)
"""The largest float64 that an int64 holds."""


@inline
def saturated(value, low, high):  # type: ignore[no-untyped-def]
    """The integer nearest to `value`, from `low` to `high`; 0 for NaN."""
    if value != value:
        return 0
    return int(min(max(round(value), low), high))


def _loader(t: DType, others: Any) -> Any:
    """load(base, dtype, index) of one type; `others` does it for all others."""
    nbytes, code = t.nbytes, int(t)
    load = getattr(lang, f"load_{'u' if t.kind == 'b' else t.kind}{8 * nbytes}")

    def element(base, dtype, index):  # type: ignore[no-untyped-def]
        if dtype == code:
            return float(load(base + nbytes * index))
        return others(base, dtype, index)

    return inline(element)


def _storer(t: DType, others: Any) -> Any:
    """store(base, dtype, index, value) of one type; `others` does it for all others."""
    code, put = int(t), _put(t)

    def element(base, dtype, index, value):  # type: ignore[no-untyped-def]
        if dtype == code:
            put(base, index, value)
        else:
            others(base, dtype, index, value)

    return inline(element)


def _put(t: DType) -> Callable[..., None]:
    nbytes, bits = t.nbytes, 8 * t.nbytes
    store = getattr(lang, f"store_{'f' if t.kind == 'f' else 'i'}{bits}")
    low, high = (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if t.kind == "i" else (0.0, 2.0**bits - 1)
    high = min(high, _MOST)

    def number(base, index, value):  # type: ignore[no-untyped-def]
        store(base + nbytes * index, value)

    def flag(base, index, value):  # type: ignore[no-untyped-def]
        store_i8(base + index, 1 if value != 0.0 else 0)

    def integer(base, index, value):  # type: ignore[no-untyped-def]
        store(base + nbytes * index, saturated(value, low, high))

    return inline({"f": number, "b": flag}.get(t.kind, integer))


@inline
def _no_load(base, dtype, index):  # type: ignore[no-untyped-def]
    return 0.0


@inline
def _no_store(base, dtype, index, value):  # type: ignore[no-untyped-def]
    return


load_element, store_element = _no_load, _no_store
for _type in reversed(TYPES):
    load_element, store_element = _loader(_type, load_element), _storer(_type, store_element)
