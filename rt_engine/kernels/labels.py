"""From scores to a label, and from one score to two.

    label_<type>   operand  scores, classes, label, pair
                   size     rows, columns, pair
                   param    threshold

With several columns the label is the class of the largest score, the first among equals; a NaN is never larger. With one
column it is the second class where the score is above the threshold, else the first. `classes` and `label` are int64.

Pair says what one score becomes in `pair` [rows, 2]: 0 nothing, 1 (1 - s, s), 2 (-s, s), 3 (0, s).
"""

from rt_engine.kernels.parts.abi import kernel, operand, param, size
from rt_engine.kernels.parts.lanes import F32, F64, Element
from rt_native.lang import inline, load_i64, store_i64

_COMPLEMENT, _OPPOSITE = 1, 2


def _make(of: Element) -> None:
    load, store, scalar, nbytes = of.load, of.store, of.scalar, of.nbytes

    @inline
    def best(scores, columns):
        """Index of the first of the largest."""
        at, largest = 0, load(scores)
        for i in range(1, columns):
            s = load(scores + nbytes * i)
            larger = s > largest
            at = i if larger else at
            largest = s if larger else largest
        return at

    @kernel("label_" + of.suffix, __name__)
    def label(arena, record):
        scores, classes, out = operand(arena, record, 0), operand(arena, record, 1), operand(arena, record, 2)
        columns, pair = size(record, 1), size(record, 2)
        both = operand(arena, record, 3) if pair else 0
        for _ in range(size(record, 0)):
            s = load(scores)
            at = best(scores, columns) if columns > 1 else (1 if s > scalar(param(record, 0)) else 0)
            store_i64(out, load_i64(classes + 8 * at))
            if pair:
                store(both, scalar(1.0) - s if pair == _COMPLEMENT else (-s if pair == _OPPOSITE else scalar(0.0)))
                store(both + nbytes, s)
                both += 2 * nbytes
            scores += nbytes * columns
            out += 8
        return 0


_make(F32)
_make(F64)
