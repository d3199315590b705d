"""Counters in native memory. A native module: only the compiler imports it."""

from rt_native.lang import inline, load_i64, store_i64


@inline
def add_to(counter, amount):  # type: ignore[no-untyped-def]
    """Add to a counter that only this thread writes."""
    store_i64(counter, load_i64(counter) + amount)
