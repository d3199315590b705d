"""From scores to a label, and from one score to two.

    label_<type>   the record is `interface.labels.LABEL`

With several columns the label is the class of the largest score, the first among equals; a NaN is never larger. With one
column it is the second class where the score is above the threshold, else the first.
"""

from rt_engine.kernels.interface.labels import LABEL
from rt_engine.kernels.parts.abi import kernel
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

    @kernel("label_" + of.suffix, LABEL)
    def label(record):
        scores, classes, out = record.scores, record.classes, record.label
        columns, pair = record.columns, record.how
        both = record.pair if pair else 0
        for _ in range(record.rows):
            s = load(scores)
            at = best(scores, columns) if columns > 1 else (1 if s > scalar(record.threshold) else 0)
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
