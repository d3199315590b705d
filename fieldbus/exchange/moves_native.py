"""Numbers <-> bytes: the moves of one message."""

from fieldbus.exchange.block import EXCHANGE, KEEP, MOVE, Kind
from rt_native.counting import add_to
from rt_native.lang import (
    inline,
    load_f32,
    load_f64,
    load_i64,
    load_u8,
    store_f32,
    store_f64,
    store_i64,
    store_u8,
)
from rt_native.memory import offsets

_M, _X = offsets(MOVE), offsets(EXCHANGE)
_CELL, _AT, _COUNT, _STEP, _KIND, _NBYTES, _PLACES, _BIT = (
    _M.cell, _M.at, _M.count, _M.step, _M.kind, _M.nbytes, _M.places, _M.bit
)  # fmt: skip
_SCALE, _OFFSET, _LOW, _HIGH, _CHECKED, _ABSENT, _ABSENT_COUNT = (
    _M.scale, _M.offset, _M.low, _M.high, _M.is_checked, _M.absent, _M.absent_count
)  # fmt: skip
_K = offsets(KEEP)
_KEEP_AT, _KEEP_MASK, _KEEP_CELL, _KEEP = _K.at, _K.mask, _K.cell, KEEP.itemsize
_MOVE = MOVE.itemsize
_VALUES_IN, _SUSPECT, _VALUES_OUT, _SCRATCH, _IMPLAUSIBLE = (
    _X.values_in, _X.suspect, _X.values_out, _X.scratch, _X.implausible
)  # fmt: skip
_SIGNED, _UNSIGNED, _FLOAT32, _FLOAT64, _TRUTH, _BIT_KIND = (
    int(Kind.SIGNED), int(Kind.UNSIGNED), int(Kind.FLOAT32), int(Kind.FLOAT64), int(Kind.TRUTH), int(Kind.BIT)
)  # fmt: skip
_SIGNED_BITS = int(Kind.SIGNED_BITS)
_ROUNDING = 4503599627370496.0  # 2**52: above it every float64 is whole
_TOP = 9223372036854775808.0  # 2**63
_SIGN = -(1 << 63)
_NAN = float("nan")


@inline
def whole(value):  # type: ignore[no-untyped-def]
    """The nearest whole number, halves to even."""
    size = -value if value < 0.0 else value
    if size >= _ROUNDING:
        return value
    rounded = (size + _ROUNDING) - _ROUNDING
    return -rounded if value < 0.0 else rounded


@inline
def gather_bytes(at, places, nbytes):  # type: ignore[no-untyped-def]
    """The bytes of an element as a number without sign."""
    bits = 0
    for j in range(nbytes):
        bits |= load_u8(at + ((places >> (8 * j)) & 0xFF)) << (8 * j)
    return bits


@inline
def scatter_bytes(at, places, nbytes, bits):  # type: ignore[no-untyped-def]
    """The same back."""
    for j in range(nbytes):
        store_u8(at + ((places >> (8 * j)) & 0xFF), (bits >> (8 * j)) & 0xFF)


@inline
def gather_bits(at, bit, count, is_signed):  # type: ignore[no-untyped-def]
    """`count` bits from `bit` on, lowest first, as a number (at most 56)."""
    first, end, bits = at + bit // 8, bit % 8 + count, 0
    for j in range((end + 7) // 8):
        bits |= load_u8(first + j) << (8 * j)
    bits = (bits >> (bit % 8)) & ((1 << count) - 1)
    return bits - (1 << count) if is_signed and bits >> (count - 1) != 0 else bits


@inline
def scatter_bits(at, bit, count, bits):  # type: ignore[no-untyped-def]
    """The same back; bits around them stay."""
    first, end, mask = at + bit // 8, bit % 8 + count, ((1 << count) - 1) << (bit % 8)
    bits = (bits << (bit % 8)) & mask
    for j in range((end + 7) // 8):
        keep = load_u8(first + j) & (0xFF ^ ((mask >> (8 * j)) & 0xFF))
        store_u8(first + j, keep | ((bits >> (8 * j)) & 0xFF))


@inline
def number_of(bits, kind, nbytes, scratch):  # type: ignore[no-untyped-def]
    """Bits -> what the device means by them."""
    if kind == _FLOAT32:
        store_i64(scratch, bits)
        return load_f32(scratch) * 1.0
    if kind == _FLOAT64:
        store_i64(scratch, bits)
        return load_f64(scratch)
    if kind == _TRUTH:
        return 1.0 if bits != 0 else 0.0
    if kind == _SIGNED:
        shift = 64 - 8 * nbytes
        return float((bits << shift) >> shift)
    if bits < 0:  # an unsigned number of 64 bits
        return float((bits >> 1) & 0x7FFFFFFFFFFFFFFF | (bits & 1)) * 2.0
    return float(bits)


@inline
def bits_of(raw, kind, scratch):  # type: ignore[no-untyped-def]
    """What the device means -> bits."""
    if kind == _FLOAT32:
        store_i64(scratch, 0)
        store_f32(scratch, raw)
        return load_i64(scratch)
    if kind == _FLOAT64:
        store_f64(scratch, raw)
        return load_i64(scratch)
    rounded = whole(raw)
    if kind == _UNSIGNED and rounded >= _TOP:
        return int(rounded - _TOP) ^ _SIGN
    return int(rounded)


@inline
def is_absent(move, bits):  # type: ignore[no-untyped-def]
    """Does the device say with this number that it has none?"""
    absent, found = load_i64(move + _ABSENT), False
    for i in range(load_i64(move + _ABSENT_COUNT)):
        found = found or load_i64(absent + 8 * i) == bits
    return found


@inline
def decode(exchange, moves, count, message):  # type: ignore[no-untyped-def]
    """The inputs in an answer -> `values_in`; what means nothing is marked in `suspect`."""
    values, suspect = load_i64(exchange + _VALUES_IN), load_i64(exchange + _SUSPECT)
    scratch, move, wrong = exchange + _SCRATCH, moves, 0
    for _ in range(count):
        kind, nbytes, places = load_i64(move + _KIND), load_i64(move + _NBYTES), load_i64(move + _PLACES)
        at, step, cell, bit = (
            message + load_i64(move + _AT), load_i64(move + _STEP), load_i64(move + _CELL), load_i64(move + _BIT)
        )  # fmt: skip
        scale, offset = load_f64(move + _SCALE), load_f64(move + _OFFSET)
        checked = load_i64(move + _CHECKED)
        low, high = load_f64(move + _LOW), load_f64(move + _HIGH)
        for i in range(load_i64(move + _COUNT)):
            if kind == _BIT_KIND:
                bits = (load_u8(at + (bit + i) // 8) >> ((bit + i) % 8)) & 1
                raw = float(bits)
            elif kind > _BIT_KIND:
                bits = gather_bits(at, bit + i * nbytes, nbytes, kind == _SIGNED_BITS)
                raw = float(bits)
            else:
                bits = gather_bytes(at, places, nbytes)
                raw = number_of(bits, kind, nbytes, scratch)
                at += step
            value = raw * scale + offset
            if checked != 0:
                bad = not (low <= value <= high) or is_absent(move, bits)
                if bad:
                    wrong += 1
                store_u8(suspect + cell + i, 1 if bad else 0)
            store_f64(values + 8 * (cell + i), value)
        move += _MOVE
    if wrong > 0:
        add_to(exchange + _IMPLAUSIBLE, wrong)


@inline
def encode(exchange, moves, count, message):  # type: ignore[no-untyped-def]
    """`values_out`, which are limited already -> the outputs in a request."""
    values, scratch, move = load_i64(exchange + _VALUES_OUT), exchange + _SCRATCH, moves
    for _ in range(count):
        kind, nbytes, places = load_i64(move + _KIND), load_i64(move + _NBYTES), load_i64(move + _PLACES)
        at, step, cell, bit = (
            message + load_i64(move + _AT), load_i64(move + _STEP), load_i64(move + _CELL), load_i64(move + _BIT)
        )  # fmt: skip
        scale, offset = load_f64(move + _SCALE), load_f64(move + _OFFSET)
        low, high = load_f64(move + _LOW), load_f64(move + _HIGH)
        for i in range(load_i64(move + _COUNT)):
            raw = (load_f64(values + 8 * (cell + i)) - offset) / scale
            raw = low if raw < low else (high if raw > high else raw)
            if kind == _BIT_KIND:
                place = at + (bit + i) // 8
                one = 1 << ((bit + i) % 8)
                byte = load_u8(place) & (0xFF ^ one)
                store_u8(place, byte | (one if whole(raw) != 0.0 else 0))
            elif kind > _BIT_KIND:
                scatter_bits(at, bit + i * nbytes, nbytes, int(whole(raw)))
            else:
                scatter_bytes(at, places, nbytes, bits_of(raw, kind, scratch))
                at += step
        move += _MOVE


@inline
def forget_kept(exchange, keeps, count):  # type: ignore[no-untyped-def]
    """What was read in another exchange may have changed since."""
    for i in range(count):
        store_f64(load_i64(exchange + _VALUES_IN) + 8 * load_i64(keeps + i * _KEEP + _KEEP_CELL), _NAN)


@inline
def put_kept(exchange, keeps, count, message):  # type: ignore[no-untyped-def]
    """Put the bits that are kept among the outputs; 0 if one of their words has not been read, and nothing may be sent."""
    ready = 1
    for i in range(count):
        keep = keeps + i * _KEEP
        theirs = load_f64(load_i64(exchange + _VALUES_IN) + 8 * load_i64(keep + _KEEP_CELL))
        if theirs == theirs:
            at, mask = message + load_i64(keep + _KEEP_AT), load_i64(keep + _KEEP_MASK)
            bits = int(theirs) & mask
            store_u8(at, (load_u8(at) & (0xFF ^ (mask >> 8))) | (bits >> 8))
            store_u8(at + 1, (load_u8(at + 1) & (0xFF ^ (mask & 0xFF))) | (bits & 0xFF))
        else:
            ready = 0
    return ready
