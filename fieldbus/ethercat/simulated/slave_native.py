"""The native step of a simulated slave: process data to and from the words of its object dictionary, around its application.

    outputs' image --MOVE[]--> words --application--> words --MOVE[]--> inputs' image

With a clock outputs are taken at SYNC0, so that all slaves act at once; without one when they come.
"""

from fieldbus.ethercat.simulated.device import Why
from fieldbus.ethercat.simulated.slave_block import CHANNEL, MOVE, SLAVE, WIRE
from rt_native.lang import (
    call5,
    export,
    fill_bytes,
    inline,
    load_f64,
    load_i64,
    load_u8,
    store_f64,
    store_i64,
    store_u8,
)  # fmt: skip
from rt_native.memory import offsets

_S, _M, _C, _W = offsets(SLAVE), offsets(MOVE), offsets(CHANNEL), offsets(WIRE)
_WORDS, _OUTPUTS, _OUTPUT_COUNT, _INPUTS, _INPUT_COUNT, _INPUT_BYTES = (
    _S.words, _S.outputs, _S.output_count, _S.inputs, _S.input_count, _S.input_bytes
)  # fmt: skip
_APPLICATION, _APP, _IS_CLOCKED, _ZEROES = _S.application, _S.app, _S.is_clocked, _S.zeroes
_CAME, _CAME_BEFORE, _MISSED, _STEPS, _PULSES = _S.came, _S.came_before, _S.missed, _S.steps, _S.pulses
_BIT, _BITS, _CELL, _IS_SIGNED, _MOVE = _M.bit, _M.bits, _M.cell, _M.is_signed, MOVE.itemsize
_ON_OUTPUTS, _ON_SYNC0, _OPERATIONAL = int(Why.OUTPUTS), int(Why.SYNC0), int(Why.OPERATIONAL)
_FOR_A_MISS = 3
_C_SOURCE, _C_UNDERRANGE, _C_OVERRANGE, _C_LIMIT_1, _C_LIMIT_2 = (
    _C.source,
    _C.underrange,
    _C.overrange,
    _C.limit_1,
    _C.limit_2,
)
_C_ERROR, _C_STATE, _C_TOGGLE, _C_VALUE, _C_WATCHES_1 = _C.error, _C.state, _C.toggle, _C.value, _C.watches_1
_C_WATCHES_2, _C_BOUND_1, _C_BOUND_2, _C_OFFSET, _C_GAIN = _C.watches_2, _C.bound_1, _C.bound_2, _C.offset, _C.gain
_C_IS_BROKEN, _C_VOLTS, _C_FULL_SCALE, _C_LOWEST = _C.is_broken, _C.volts, _C.full_scale, _C.lowest
_W_SOURCE, _W_TARGET, _W_IS_VOLTS, _W_SCALE = _W.source, _W.target, _W.is_volts, _W.scale
_CHANNEL, _WIRE = CHANNEL.itemsize, WIRE.itemsize


@inline
def bits_at(image, bit, count):
    """`count` bits of an image, from `bit` on, the lowest first; 64 only where they begin a byte."""
    first, shift = image + (bit >> 3), bit & 7
    value = 0
    for i in range((shift + count + 7) >> 3):
        value |= (load_u8(first + i) & 0xFF) << (8 * i)
    value >>= shift
    return value if count >= 64 else value & ((1 << count) - 1)


@inline
def put_bits(image, bit, count, value):
    """Set bits of an image where they are 0."""
    first, shift = image + (bit >> 3), bit & 7
    whole = (value if count >= 64 else value & ((1 << count) - 1)) << shift
    for i in range((shift + count + 7) >> 3):
        store_u8(first + i, load_u8(first + i) | ((whole >> (8 * i)) & 0xFF))


@inline
def take_outputs(slave, image):
    """The image's bits -> words; without an image zeros."""
    row = load_i64(slave + _OUTPUTS)
    for _ in range(load_i64(slave + _OUTPUT_COUNT)):
        bits, value = load_i64(row + _BITS), 0
        if image != 0:
            value = bits_at(image, load_i64(row + _BIT), bits)
            if load_i64(row + _IS_SIGNED) != 0 and bits < 64:
                value = (value << (64 - bits)) >> (64 - bits)
        store_i64(load_i64(row + _CELL), value)
        row += _MOVE


@inline
def give_inputs(slave, image):
    """Words -> the image's bits."""
    fill_bytes(image, 0, load_i64(slave + _INPUT_BYTES))
    row = load_i64(slave + _INPUTS)
    for _ in range(load_i64(slave + _INPUT_COUNT)):
        put_bits(image, load_i64(row + _BIT), load_i64(row + _BITS), load_i64(load_i64(row + _CELL)))
        row += _MOVE


@inline
def count_misses(slave):
    """At SYNC0: have outputs come since the one before?"""
    came = load_i64(slave + _CAME)
    missed = load_i64(slave + _MISSED)
    if came == load_i64(slave + _CAME_BEFORE):
        store_i64(slave + _MISSED, missed + _FOR_A_MISS)
    else:
        store_i64(slave + _MISSED, max(missed - 1, 0))
    store_i64(slave + _CAME_BEFORE, came)


@export
def slave_step(slave, outputs, inputs, now_ns, why):
    """One call of the bus (`fieldbus.ethercat.simulated.device.NativeStep`)."""
    store_i64(slave + _STEPS, load_i64(slave + _STEPS) + 1)
    is_operational, is_clocked = why & _OPERATIONAL != 0, load_i64(slave + _IS_CLOCKED) != 0
    if why & _ON_OUTPUTS:
        store_i64(slave + _CAME, load_i64(slave + _CAME) + 1)
    if why & _ON_SYNC0:
        store_i64(slave + _PULSES, load_i64(slave + _PULSES) + 1)
    if is_clocked and why & _ON_SYNC0 and is_operational:
        count_misses(slave)
    elif not is_operational:
        store_i64(slave + _MISSED, 0)
    is_due = why & (_ON_SYNC0 if is_clocked else _ON_OUTPUTS) != 0
    if is_operational and is_due and outputs != 0:
        take_outputs(slave, outputs)
    elif not is_operational and load_i64(slave + _ZEROES) != 0:
        take_outputs(slave, 0)
    application = load_i64(slave + _APPLICATION)
    if application != 0:
        call5(application, load_i64(slave + _APP), now_ns, why, slave, load_i64(slave + _WORDS))
    if inputs != 0:
        give_inputs(slave, inputs)
    return 0


# --- applications of terminals ------------------------------------------------------------------------------------------


@export
def wires_step(app, now_ns, why, slave, words):
    """Words of other slaves, through wires, to words of this one: `app` is a count, then WIRE[]."""
    row = app + 8
    for _ in range(load_i64(app)):
        value, target = load_i64(load_i64(row + _W_SOURCE)), load_i64(row + _W_TARGET)
        if load_i64(row + _W_IS_VOLTS) != 0:
            store_f64(target, value * load_f64(row + _W_SCALE))
        else:
            store_i64(target, value)
        row += _WIRE
    return 0


@inline
def limit_state(value, watches, bound):
    """0: not watched, 1: below, 2: above, 3: equal."""
    if watches == 0:
        return 0
    return 1 if value < bound else 2 if value > bound else 3


@export
def analogue_step(app, now_ns, why, slave, words):
    """Volts -> values and status bits: `app` is the address of wires (0: none), a count, then CHANNEL[]."""
    wires = load_i64(app)
    if wires != 0:
        wires_step(wires, now_ns, why, slave, words)
    row = app + 16
    for _ in range(load_i64(app + 8)):
        source = load_i64(row + _C_SOURCE)
        volts = load_f64(source if source != 0 else row + _C_VOLTS)
        is_broken = load_i64(row + _C_IS_BROKEN) != 0 or volts - volts != 0.0
        raw = 0.0 if is_broken else volts / load_f64(row + _C_FULL_SCALE) * 32768.0
        scaled = raw * load_i64(load_i64(row + _C_GAIN)) / 65536.0 + load_i64(load_i64(row + _C_OFFSET))
        lowest = load_f64(row + _C_LOWEST)
        value = int(min(max(scaled, lowest), 32767.0))
        under, over = scaled < lowest or is_broken, scaled > 32767.0
        store_i64(load_i64(row + _C_UNDERRANGE), 1 if under else 0)
        store_i64(load_i64(row + _C_OVERRANGE), 1 if over else 0)
        store_i64(load_i64(row + _C_ERROR), 1 if under or over else 0)
        store_i64(load_i64(row + _C_STATE), 1 if is_broken else 0)
        watches, bound = load_i64(load_i64(row + _C_WATCHES_1)), load_i64(load_i64(row + _C_BOUND_1))
        store_i64(load_i64(row + _C_LIMIT_1), limit_state(value, watches, bound))
        watches, bound = load_i64(load_i64(row + _C_WATCHES_2)), load_i64(load_i64(row + _C_BOUND_2))
        store_i64(load_i64(row + _C_LIMIT_2), limit_state(value, watches, bound))
        toggle = load_i64(row + _C_TOGGLE)
        store_i64(toggle, 1 - load_i64(toggle))
        store_i64(load_i64(row + _C_VALUE), value)
        row += _CHANNEL
    return 0
