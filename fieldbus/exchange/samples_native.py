"""Frames that nobody asked for and that carry inputs: `fieldbus.exchange.plan.Samples` draws them."""

from fieldbus.exchange.block import EXCHANGE, SAMPLE
from fieldbus.exchange.frames_native import load_number, matches
from fieldbus.exchange.moves_native import decode
from rt_native.counting import add_to
from rt_native.lang import copy_bytes, inline, load_i64
from rt_native.memory import offsets

_X, _S = offsets(EXCHANGE), offsets(SAMPLE)
_HEADER, _MASK, _HEADER_BYTES, _TABLE, _COUNT, _NOTIFIED = (
    _X.sampled, _X.sampled_mask, _X.sampled_bytes, _X.samples, _X.sample_count, _X.notified
)  # fmt: skip
_HANDLE, _NBYTES, _INS, _IN_COUNT, _NEWEST = _S.handle, _S.nbytes, _S.ins, _S.in_count, _S.newest
_SAMPLE = SAMPLE.itemsize
_WORD, _MOMENT, _HEAD = 4, 12, 8


@inline
def word(at):  # type: ignore[no-untyped-def]
    """A number of four bytes, low byte first."""
    return load_number(at, _WORD, 0)


@inline
def are_samples(exchange, frame, nbytes):  # type: ignore[no-untyped-def]
    """Does the frame begin as these do?"""
    size = load_i64(exchange + _HEADER_BYTES)
    return size <= nbytes and matches(frame, load_i64(exchange + _HEADER), load_i64(exchange + _MASK), size)


@inline
def sample_of(exchange, handle):  # type: ignore[no-untyped-def]
    """The record of a handle, 0: nobody's."""
    table, low, high = load_i64(exchange + _TABLE), 0, load_i64(exchange + _COUNT)
    while low < high:
        middle = (low + high) // 2
        if load_i64(table + middle * _SAMPLE + _HANDLE) < handle:
            low = middle + 1
        else:
            high = middle
    here = table + low * _SAMPLE
    return here if low < load_i64(exchange + _COUNT) and load_i64(here + _HANDLE) == handle else 0


@inline
def are_whole(exchange, frame, nbytes):  # type: ignore[no-untyped-def]
    """Do the lengths in the frame agree with each other, and with what each value must have? Reads nothing beyond it."""
    at, end = frame + load_i64(exchange + _HEADER_BYTES), frame + nbytes
    if end - at < _HEAD or word(at) != end - at - _WORD:
        return False
    moments = word(at + _WORD)
    at += _HEAD
    for _ in range(moments):
        if end - at < _MOMENT:
            return False
        values = word(at + _MOMENT - _WORD)
        at += _MOMENT
        for _ in range(values):
            if end - at < _HEAD or word(at + _WORD) > end - at - _HEAD:
                return False
            sample = sample_of(exchange, word(at))
            if sample != 0 and load_i64(sample + _NBYTES) != word(at + _WORD):
                return False
            at += _HEAD + word(at + _WORD)
    return at == end


@inline
def take_samples(exchange, frame, nbytes):  # type: ignore[no-untyped-def]
    """The values -> inputs, oldest first; false, and nothing taken, where the frame contradicts itself."""
    if not are_whole(exchange, frame, nbytes):
        return False
    at = frame + load_i64(exchange + _HEADER_BYTES)
    moments = word(at + _WORD)
    at += _HEAD
    for _ in range(moments):
        values = word(at + _MOMENT - _WORD)
        at += _MOMENT
        for _ in range(values):
            sample, size = sample_of(exchange, word(at)), word(at + _WORD)
            if sample != 0:
                copy_bytes(load_i64(sample + _NEWEST), at + _HEAD, size)
                decode(exchange, load_i64(sample + _INS), load_i64(sample + _IN_COUNT), at + _HEAD)
            at += _HEAD + size
    add_to(exchange + _NOTIFIED, 1)
    return True
