"""The cycle's side of `scheduler.maxima_block`: three histograms and one row, nothing else is touched."""

from rt_native.counting import add_to
from rt_native.histogram_native import add as count_time
from rt_native.lang import inline, load_i64, store_i64
from rt_native.memory import offsets
from scheduler.maxima_block import MAXIMA, MAXIMUM

_M, _R = offsets(MAXIMA), offsets(MAXIMUM)
_FIRST, _INTERVAL, _ROWS = _M.first_ns, _M.interval_ns, _M.rows
_WAKEUPS, _EXECUTIONS, _REACTIONS = _M.wakeup, _M.execution, _M.reaction
_CYCLES, _MISSED, _WAKEUP, _EXECUTION, _REACTION = (
    _R.cycles, _R.missed, _R.wakeup_ns, _R.execution_ns, _R.reaction_ns
)  # fmt: skip
_HEADER_SIZE, _ROW_SIZE = MAXIMA.itemsize, MAXIMUM.itemsize


@inline
def note_maxima(maxima, tick, wakeup, execution, missed):  # type: ignore[no-untyped-def]
    """Count a cycle; `maxima`: a MAXIMA, or 0."""
    if maxima == 0:
        return
    first = load_i64(maxima + _FIRST)
    if first == 0 or tick < first:
        return
    number = (tick - first) // load_i64(maxima + _INTERVAL)
    if number >= load_i64(maxima + _ROWS):
        return
    count_time(maxima + _WAKEUPS, wakeup)
    count_time(maxima + _EXECUTIONS, execution)
    count_time(maxima + _REACTIONS, wakeup + execution)
    row = maxima + _HEADER_SIZE + number * _ROW_SIZE
    add_to(row + _CYCLES, 1)
    add_to(row + _MISSED, missed)
    keep_longer(row + _WAKEUP, wakeup, tick)
    keep_longer(row + _EXECUTION, execution, tick)
    keep_longer(row + _REACTION, wakeup + execution, tick)


@inline
def keep_longer(place, ns, tick):  # type: ignore[no-untyped-def]
    """A time and its tick, if it is the longest so far."""
    if ns > load_i64(place):
        store_i64(place, ns)
        store_i64(place + 8, tick)
