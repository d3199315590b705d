"""The controller of a distributed clock (drawn in `fieldbus.ethercat.clock.clock`): what frames tell, and where the next wake-up goes.

exchange_phase    an answer with the time of the reference clock    --> `clock_note`     it is kept
once a cycle      when is the next wake-up due?                     --> `clock_shift`    it is judged; nanoseconds to add
"""

import fieldbus.ethercat.clock.clock as arithmetic
from fieldbus.ethercat.clock.clock_block import CLOCK
from fieldbus.exchange.block import EXCHANGE
from rt_native.counting import add_to
from rt_native.histogram_native import add as count_time
from rt_native.lang import export, inline, load_i64, store_i64
from rt_native.memory import offsets

_C, _CLOCK = offsets(CLOCK), offsets(EXCHANGE).clock
_CYCLE, _TARGET, _IS_SHORT, _MOST, _HORIZON, _WINDOW, _LOST_NS, _OFFSETS = (
    _C.cycle_ns, _C.target_ns, _C.is_short, _C.most_q, _C.horizon, _C.window_ns, _C.lost_ns, _C.offsets
)  # fmt: skip
_IS_NEW, _TOLD, _SENT, _HEARD_NS = _C.is_new, _C.told_ns, _C.sent_ns, _C.heard_ns
_N, _BASE, _OFFSET, _RATE, _AT, _USUAL, _FAR, _SIDE, _LATE = (
    _C.n, _C.base_ns, _C.offset_q, _C.rate, _C.at_ns, _C.usual_q, _C.far, _C.side, _C.late_q
)  # fmt: skip
_REST, _ERROR, _CALM, _IS_LOCKED, _WAS_LOCKED, _IS_LOST = (
    _C.rest_q, _C.error_ns, _C.calm, _C.is_locked, _C.was_locked, _C.is_lost
)  # fmt: skip
_PHASE, _HEARD, _REFUSED, _JUMPS, _LOSSES, _UNLOCKS = (
    _C.phase_ns, _C.heard, _C.refused, _C.jumps, _C.losses, _C.unlocks
)  # fmt: skip
_Q, _FIRST, _SURE, _IN_A_ROW, _ONE_SIDED, _MOST_RATE = (
    arithmetic.Q, arithmetic.FIRST, arithmetic.SURE, arithmetic.IN_A_ROW, arithmetic.ONE_SIDED, arithmetic.MOST_RATE
)  # fmt: skip
_CALM_CYCLES, _SMOOTH, _SOON, _SLOWLY = 64, 8, 5, 8
_FAR_OFF, _NO_NOISE = 1 << 45, 1 << 20 + _Q  # nanoseconds; and a millisecond
_DATA = 10  # of a datagram: its header before

wrapped, unwrapped, drawn_out, pull, turn = (
    inline(f)
    for f in (arithmetic.wrapped, arithmetic.unwrapped, arithmetic.drawn_out, arithmetic.pull, arithmetic.turn)
)
gate, usual, within, slew = (inline(f) for f in (arithmetic.gate, arithmetic.usual, arithmetic.within, arithmetic.slew))


@export
def clock_note(exchange, datagram, sent_ns, now, transaction):  # type: ignore[no-untyped-def]
    """An answer has come whose frame was sent at `sent_ns`: what its datagram says of the time is judged by the next step."""
    clock = load_i64(exchange + _CLOCK)
    if clock != 0:
        told = load_i64(datagram + _DATA)
        store_i64(clock + _TOLD, unwrapped(told, load_i64(clock + _TOLD), load_i64(clock + _IS_SHORT)))
        store_i64(clock + _SENT, sent_ns)
        store_i64(clock + _IS_NEW, 1)
    return 0


@export
def clock_shift(exchange, due_ns):  # type: ignore[no-untyped-def]
    """How many nanoseconds later than `due_ns`, a cycle after the last one, the next cycle is to begin; called once a cycle."""
    clock = load_i64(exchange + _CLOCK)
    return step(clock, due_ns) if clock != 0 else 0


@inline
def step(clock, due):  # type: ignore[no-untyped-def]
    """Judge what is new; move the next wake-up."""
    cycle = load_i64(clock + _CYCLE)
    if load_i64(clock + _IS_NEW) != 0:
        store_i64(clock + _IS_NEW, 0)
        hear(clock, due - cycle)
    note_loss(clock, due)
    if load_i64(clock + _N) < _FIRST:
        return 0
    error_q = error_at(clock, due) - drawn_out(load_i64(clock + _RATE), cycle)
    store_i64(clock + _ERROR, error_q >> _Q)
    judge(clock, abs(error_q >> _Q))
    return settled(clock, slew(error_q, load_i64(clock + _RATE), cycle, load_i64(clock + _MOST)))


@inline
def settled(clock, slew_q):  # type: ignore[no-untyped-def]
    """Whole nanoseconds of a slew; the rest is kept."""
    rest = load_i64(clock + _REST) + slew_q
    store_i64(clock + _REST, rest & ((1 << _Q) - 1))
    return rest >> _Q


@inline
def error_at(clock, due):  # type: ignore[no-untyped-def]
    """By how much a frame would come too late whose cycle begins at `due` (`_q`)."""
    line = load_i64(clock + _OFFSET) + drawn_out(load_i64(clock + _RATE), due - load_i64(clock + _AT))
    late = line + load_i64(clock + _LATE)
    there = due + load_i64(clock + _BASE) + (late >> _Q) - load_i64(clock + _TARGET)
    return (wrapped(there, load_i64(clock + _CYCLE)) << _Q) + (late & ((1 << _Q) - 1))


# --- the line ----------------------------------------------------------------------------------------------------------


@inline
def hear(clock, due):  # type: ignore[no-untyped-def]
    """A frame of the cycle that began at `due` has told the time."""
    told, sent, n = load_i64(clock + _TOLD), load_i64(clock + _SENT), load_i64(clock + _N)
    store_i64(clock + _PHASE, wrapped(told - load_i64(clock + _TARGET), load_i64(clock + _CYCLE)))
    if load_i64(clock + _WAS_LOCKED) != 0:
        count_time(load_i64(clock + _OFFSETS), abs(load_i64(clock + _PHASE)))
    if n == 0:
        begin(clock, told, sent, 1)
        return
    gone = sent - load_i64(clock + _AT)
    if gone <= 0:
        add_to(clock + _REFUSED, 1)  # told twice
        return
    line = load_i64(clock + _OFFSET) + drawn_out(load_i64(clock + _RATE), gone)
    difference = told - sent - load_i64(clock + _BASE)
    residual = (within(difference, _FAR_OFF) << _Q) - line
    if n < _FIRST and abs(residual) > _NO_NOISE:
        add_to(clock + _JUMPS, 1)
        begin(clock, told, sent, 1)
    elif n >= _FIRST and abs(residual) > gate(load_i64(clock + _USUAL), gone):
        refuse(clock, told, sent, abs(residual))
    else:
        fit(clock, line, residual, gone)
        heed(clock, sent, due)


@inline
def begin(clock, told, sent, n):  # type: ignore[no-untyped-def]
    """A new line from here; with the rate that there is."""
    store_i64(clock + _BASE, told - sent)
    store_i64(clock + _OFFSET, 0)
    store_i64(clock + _AT, sent)
    store_i64(clock + _N, n)
    store_i64(clock + _FAR, 0)
    store_i64(clock + _SIDE, 0)
    store_i64(clock + _HEARD_NS, sent)


@inline
def refuse(clock, told, sent, distance):  # type: ignore[no-untyped-def]
    """It is far from the line: not believed, unless many are. Where noise has grown the gate opens with time."""
    store_i64(clock + _USUAL, usual(load_i64(clock + _USUAL), distance, _SLOWLY))
    add_to(clock + _REFUSED, 1)
    add_to(clock + _FAR, 1)
    if load_i64(clock + _FAR) >= _IN_A_ROW:
        add_to(clock + _JUMPS, 1)
        begin(clock, told, sent, _SURE)
        unlock(clock)


@inline
def fit(clock, line, residual, gone):  # type: ignore[no-untyped-def]
    """The line takes one pair more, which is `residual` above it."""
    n = min(load_i64(clock + _N) + 1, load_i64(clock + _HORIZON))
    rate = load_i64(clock + _RATE) + turn(within(residual, 1 << 40), n, gone)
    store_i64(clock + _RATE, within(rate, _MOST_RATE))
    store_i64(clock + _OFFSET, line + pull(residual, n))
    store_i64(clock + _AT, load_i64(clock + _AT) + gone)
    side = load_i64(clock + _SIDE)
    above = 1 if residual > 0 else -1
    side = side + above if side * above >= 0 else above
    if abs(side) >= _ONE_SIDED and n >= 2 * _SURE:
        n, side = n // 2, 0
    store_i64(clock + _SIDE, side)
    store_i64(clock + _N, n)
    store_i64(clock + _USUAL, usual(load_i64(clock + _USUAL), abs(residual), _SOON))


@inline
def heed(clock, sent, due):  # type: ignore[no-untyped-def]
    """It was believed: the reference is there; how long after its tick are frames sent?"""
    add_to(clock + _HEARD, 1)
    store_i64(clock + _FAR, 0)
    store_i64(clock + _HEARD_NS, sent)
    store_i64(clock + _IS_LOST, 0)
    late, cycle = load_i64(clock + _LATE), load_i64(clock + _CYCLE)
    after = (sent - due) % cycle << _Q
    n = min(load_i64(clock + _N), 1 << _SMOOTH)
    store_i64(clock + _LATE, late + (after - late) // n)


@inline
def note_loss(clock, due):  # type: ignore[no-untyped-def]
    """Nothing believable for too long: the reference clock is lost. The line is drawn out, so the rate is held."""
    silent = due - load_i64(clock + _HEARD_NS)
    if load_i64(clock + _N) > 0 and load_i64(clock + _IS_LOST) == 0 and silent > load_i64(clock + _LOST_NS):
        store_i64(clock + _IS_LOST, 1)
        add_to(clock + _LOSSES, 1)
        unlock(clock)


# --- in phase? ---------------------------------------------------------------------------------------------------------


@inline
def judge(clock, error):  # type: ignore[no-untyped-def]
    """Is it in phase? It begins to be after many cycles within the window, and ends far outside."""
    window = load_i64(clock + _WINDOW)
    calm = load_i64(clock + _CALM) + 1 if error <= window and load_i64(clock + _IS_LOST) == 0 else 0
    store_i64(clock + _CALM, calm)
    if calm >= _CALM_CYCLES:
        store_i64(clock + _IS_LOCKED, 1)
        store_i64(clock + _WAS_LOCKED, 1)
    elif error > 4 * window:
        unlock(clock)


@inline
def unlock(clock):  # type: ignore[no-untyped-def]
    """It is not in phase."""
    add_to(clock + _UNLOCKS, load_i64(clock + _IS_LOCKED))
    store_i64(clock + _IS_LOCKED, 0)
    store_i64(clock + _CALM, 0)
