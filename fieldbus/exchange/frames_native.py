"""Frames: how long is the one that has begun to come, whose is it, and is it what was expected?"""

from fieldbus.exchange.block import EXCHANGE, MOST_NUMBERS_LATE, TRANSACTION, Cut
from rt_native.lang import inline, load_i64, load_u8, store_u8
from rt_native.memory import offsets

_X, _T = offsets(EXCHANGE), offsets(TRANSACTION)
_TRANSACTIONS, _TRANSACTION = _X.transactions, TRANSACTION.itemsize
_CUT, _BY_SHAPE = _X.cut, int(Cut.SHAPE)
_HEADER, _LENGTH_AT, _LENGTH_BYTES, _IS_BIG, _ADD, _LEAST, _MOST = (
    _X.header_bytes, _X.length_at, _X.length_bytes, _X.length_is_big, _X.length_add, _X.least, _X.most
)  # fmt: skip
_NUMBER_AT, _NUMBER_BYTES, _NUMBER_BIG, _NUMBER, _ANY_NUMBER = (
    _X.number_at, _X.number_bytes, _X.number_is_big, _X.number, _X.any_number
)  # fmt: skip
_OURS, _OURS_MASK, _OURS_BYTES = _X.ours, _X.ours_mask, _X.ours_bytes
_BUFFER, _RECEIVED = _X.buffer, _X.received
_ANSWER, _MASK, _REQUEST, _ECHOED_AT, _ECHOED = _T.answer, _T.mask, _T.request, _T.echoed_at, _T.echoed_bytes
_LATE = MOST_NUMBERS_LATE
_POLYNOMIAL = 0xA001
MORE, IMPOSSIBLE = 0, -1
OURS, LATE, FOREIGN = 0, 1, 2


@inline
def transaction_at(exchange, number):  # type: ignore[no-untyped-def]
    """The address of a transaction, or of a fence behind them."""
    return load_i64(exchange + _TRANSACTIONS) + number * _TRANSACTION


@inline
def is_line(exchange):  # type: ignore[no-untyped-def]
    """Is it a serial line?"""
    return load_i64(exchange + _CUT) == _BY_SHAPE


@inline
def load_number(at, nbytes, is_big):  # type: ignore[no-untyped-def]
    """A number without sign of 1 to 4 bytes."""
    value = 0
    for j in range(nbytes):
        value = (value << 8) | load_u8(at + (j if is_big != 0 else nbytes - 1 - j))
    return value


@inline
def store_number(at, nbytes, is_big, value):  # type: ignore[no-untyped-def]
    """The same back."""
    for j in range(nbytes):
        store_u8(at + (nbytes - 1 - j if is_big != 0 else j), (value >> (8 * j)) & 0xFF)


@inline
def checksum(at, nbytes):  # type: ignore[no-untyped-def]
    """CRC-16 of a serial line, "MODBUS over Serial Line", 6.2.2."""
    crc = 0xFFFF
    for i in range(nbytes):
        crc ^= load_u8(at + i)
        for _ in range(8):
            crc = (crc >> 1) ^ (_POLYNOMIAL if crc & 1 else 0)
    return crc


@inline
def matches(frame, template, mask, nbytes):  # type: ignore[no-untyped-def]
    """Are the bytes that `mask` has those of `template`?"""
    wrong = 0
    for i in range(nbytes):
        wrong |= (load_u8(frame + i) ^ load_u8(template + i)) & load_u8(mask + i)
    return wrong == 0


@inline
def length_by_field(exchange, first):  # type: ignore[no-untyped-def]
    """Bytes of the frame that begins at byte `first` of the buffer; MORE: not known yet, IMPOSSIBLE: no frame begins so."""
    if load_i64(exchange + _RECEIVED) - first < load_i64(exchange + _HEADER):
        return MORE
    at = load_i64(exchange + _BUFFER) + first + load_i64(exchange + _LENGTH_AT)
    length = load_number(at, load_i64(exchange + _LENGTH_BYTES), load_i64(exchange + _IS_BIG)) + load_i64(
        exchange + _ADD
    )
    if length < load_i64(exchange + _LEAST) or length > load_i64(exchange + _MOST):
        return IMPOSSIBLE
    return length


@inline
def is_expected(transaction, frame, length):  # type: ignore[no-untyped-def]
    """Has the frame the bytes that it must have, and those of the request that it must repeat?"""
    request, first, wrong = load_i64(transaction + _REQUEST), load_i64(transaction + _ECHOED_AT), 0
    for i in range(first, first + load_i64(transaction + _ECHOED)):
        wrong |= load_u8(frame + i) ^ load_u8(request + i)
    return wrong == 0 and matches(frame, load_i64(transaction + _ANSWER), load_i64(transaction + _MASK), length)


@inline
def is_whole(frame, nbytes):  # type: ignore[no-untyped-def]
    """Does the frame end with its checksum?"""
    return nbytes >= 4 and checksum(frame, nbytes - 2) == load_number(frame + nbytes - 2, 2, 0)


@inline
def is_for_us(exchange, frame, nbytes):  # type: ignore[no-untyped-def]
    """Does the frame begin as all do that are meant for us?"""
    size = load_i64(exchange + _OURS_BYTES)
    return size <= nbytes and matches(frame, load_i64(exchange + _OURS), load_i64(exchange + _OURS_MASK), size)


@inline
def whose(exchange, frame, nbytes):  # type: ignore[no-untyped-def]
    """Does the frame answer the newest question, one before it, or none that was asked?"""
    size = load_i64(exchange + _NUMBER_BYTES)
    if size == 0 or load_i64(exchange + _ANY_NUMBER) != 0:
        return OURS
    at = load_i64(exchange + _NUMBER_AT)
    if at + size > nbytes:
        return FOREIGN
    behind = (load_i64(exchange + _NUMBER) - load_number(frame + at, size, load_i64(exchange + _NUMBER_BIG))) & (
        (1 << (8 * size)) - 1
    )
    if behind == 0:
        return OURS
    return LATE if behind <= _LATE else FOREIGN
