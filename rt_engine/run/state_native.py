"""A model's memory, seen by native code: is it still made of numbers, and back to where it began.

A number that is neither NaN nor infinite has an exponent that is not all ones, so bits are looked at, and no rounding mode
matters. States of integers always are numbers; so is one that begins with a NaN or an infinity, as that is meant.
"""

from rt_engine.kernels.interface.dtypes import DType
from rt_engine.run.blocks import BLOCK, STATE, STATES_HEAD
from rt_native.lang import copy_bytes, export, inline, load_i64, load_u16, load_u32
from rt_native.memory import offsets

_STATES, _GOOD, _S = offsets(BLOCK).states, offsets(BLOCK).good, offsets(STATE)
_ADDRESS, _BYTES, _DTYPE, _INITIAL, _SIZE = _S.address, _S.nbytes, _S.dtype, _S.initial, STATE.itemsize
_HEAD = STATES_HEAD
_FLOAT, _DOUBLE, _FLOAT16, _BFLOAT16 = int(DType.FLOAT), int(DType.DOUBLE), int(DType.FLOAT16), int(DType.BFLOAT16)


@inline
def _words_finite(address, nbytes, exponents, step, beyond):
    """Are all numbers in whole words of 8 bytes finite, however many are in one?

    With the sign out of the way, one more in the exponent's last place carries into the place beyond it only where all of the
    exponent is ones. Halved before, so that no sum overflows.
    """
    seen = 0
    for i in range(nbytes // 8):
        seen |= ((load_i64(address + 8 * i) >> 1) & exponents) + step
    return seen & beyond == 0


@inline
def _float32(address, nbytes):
    good = _words_finite(address, nbytes, 0x3FC000003FC00000, 0x0040000000400000, 0x4000000040000000)
    return good and (nbytes % 8 == 0 or load_u32(address + nbytes - 4) & 0x7F800000 != 0x7F800000)


@inline
def _float64(address, nbytes):
    return _words_finite(address, nbytes, 0x3FF8000000000000, 0x0008000000000000, 0x4000000000000000)


@inline
def _half(address, nbytes, infinite, exponents, step):
    good = _words_finite(address, nbytes, exponents, step, 0x4000400040004000)
    for i in range(nbytes // 8 * 4, nbytes // 2):
        good = good and load_u16(address + 2 * i) & infinite != infinite
    return good


@inline
def is_finite(state):
    """Are all elements of one `STATE` numbers? True of types that nothing is known of."""
    address, nbytes, dtype = load_i64(state + _ADDRESS), load_i64(state + _BYTES), load_i64(state + _DTYPE)
    if dtype == _FLOAT:
        return _float32(address, nbytes)
    if dtype == _DOUBLE:
        return _float64(address, nbytes)
    if dtype == _FLOAT16:
        return _half(address, nbytes, 0x7C00, 0x3E003E003E003E00, 0x0200020002000200)
    if dtype == _BFLOAT16:
        return _half(address, nbytes, 0x7F80, 0x3FC03FC03FC03FC0, 0x0040004000400040)
    return True


@inline
def states_finite(block):
    """Are all states of an execution block numbers?"""
    states = load_i64(block + _STATES)
    if states == 0:
        return True
    good = True
    for i in range(load_i64(states)):
        good = good and is_finite(states + _HEAD + _SIZE * i)
    return good


@inline
def reset_states(block):
    """Put every state back to its initial value; gives how many there are."""
    states = load_i64(block + _STATES)
    if states == 0:
        return 0
    for i in range(load_i64(states)):
        state = states + _HEAD + _SIZE * i
        copy_bytes(load_i64(state + _ADDRESS), load_i64(state + _INITIAL), load_i64(state + _BYTES))
    return load_i64(states)


@inline
def copy_states(to, source):
    """Copy every state of a block to the same state of another."""
    mine, theirs = load_i64(to + _STATES), load_i64(source + _STATES)
    for i in range(load_i64(mine) if mine != 0 else 0):
        at = _HEAD + _SIZE * i
        copy_bytes(load_i64(mine + at + _ADDRESS), load_i64(theirs + at + _ADDRESS), load_i64(mine + at + _BYTES))


@inline
def save_states(block):
    """Keep a copy of every state, where there is room for one."""
    states, good = load_i64(block + _STATES), load_i64(block + _GOOD)
    for i in range(load_i64(states) if states != 0 and good != 0 else 0):
        state = states + _HEAD + _SIZE * i
        copy_bytes(good, load_i64(state + _ADDRESS), load_i64(state + _BYTES))
        good += load_i64(state + _BYTES)


@inline
def restore_states(block):
    """Every state as `save_states` last kept it, or its initial value where it never did; gives how many there are."""
    states, good = load_i64(block + _STATES), load_i64(block + _GOOD)
    if states == 0 or good == 0:
        return reset_states(block)
    for i in range(load_i64(states)):
        state = states + _HEAD + _SIZE * i
        copy_bytes(load_i64(state + _ADDRESS), good, load_i64(state + _BYTES))
        good += load_i64(state + _BYTES)
    return load_i64(states)


@export
def state_is_finite(block):
    """See `states_finite`."""
    return 1 if states_finite(block) else 0
