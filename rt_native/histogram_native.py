"""Native side of `rt_native.histogram`: count one time."""

from rt_native.histogram import BINS, HEADER_WORDS, SUB_BINS
from rt_native.lang import export, inline, load_i64, store_i64

_LAST_BIN = BINS - 1
_BINS_AT = 8 * HEADER_WORDS


@inline
def add(histogram, ns):
    """Count `ns` nanoseconds in the histogram at an address."""
    index = max(ns, 0)
    if index >= SUB_BINS:
        octave = 5
        while (ns >> (octave + 1)) != 0:
            octave += 1
        index = SUB_BINS * (octave - 4) + ((ns >> (octave - 5)) & (SUB_BINS - 1))
        index = min(index, _LAST_BIN)
    count = load_i64(histogram)
    if count == 0 or ns < load_i64(histogram + 16):
        store_i64(histogram + 16, ns)
    if ns > load_i64(histogram + 24):
        store_i64(histogram + 24, ns)
    store_i64(histogram + 32, ns)
    store_i64(histogram + 8, load_i64(histogram + 8) + ns)
    bin_at = histogram + _BINS_AT + 8 * index
    store_i64(bin_at, load_i64(bin_at) + 1)
    store_i64(histogram, count + 1)


@export
def histogram_add(histogram, ns):
    """Count `ns` nanoseconds; gives 0."""
    add(histogram, ns)
    return 0
