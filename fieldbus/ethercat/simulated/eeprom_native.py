"""The interface to the EEPROM: 0x500 to 0x50F (data sheet, section I, chapter 11).

A command takes `eeprom_ns`; meanwhile the interface is busy.
"""

from fieldbus.ethercat.simulated import registers
from fieldbus.ethercat.simulated.layout import ESC
from rt_native.lang import inline, load_i64, load_u8, load_u16, load_u32, store_i16, store_i64, store_u8
from rt_native.memory import offsets

_E = offsets(ESC)
_MEMORY, _BYTES_AT, _NBYTES, _TAKES, _READY, _AT_ONCE = (
    _E.memory, _E.eeprom, _E.eeprom_bytes, _E.eeprom_ns, _E.eeprom_ready_ns, _E.eeprom_at_once
)  # fmt: skip
_CONFIG, _CONTROL, _ADDRESS, _DATA, _ALIAS = (
    registers.EEPROM_CONFIG, registers.EEPROM_CONTROL, registers.EEPROM_ADDRESS, registers.EEPROM_DATA, registers.ALIAS
)  # fmt: skip
_BUSY, _NOT_ENABLED, _REFUSED, _ENABLE, _KEPT = 0x8000, 0x4000, 0x2000, 0x0001, 0x18C0
_READ, _WRITE, _RELOAD = 1, 2, 4


@inline
def show_busy(esc, now):  # type: ignore[no-untyped-def]
    """Before 0x502 is read: is the command done?"""
    at = load_i64(esc + _MEMORY) + _CONTROL
    if load_u16(at) & _BUSY != 0 and now >= load_i64(esc + _READY):
        store_i16(at, load_u16(at) & (0xFFFF ^ (_BUSY | 0x0700 | _ENABLE)))


@inline
def read_words(esc, word):  # type: ignore[no-untyped-def]
    """Put 4 or 8 bytes in the data registers; behind its end an EEPROM is all ones."""
    content, nbytes = load_i64(esc + _BYTES_AT), load_i64(esc + _NBYTES)
    for i in range(load_i64(esc + _AT_ONCE)):
        at = 2 * word + i
        store_u8(load_i64(esc + _MEMORY) + _DATA + i, load_u8(content + at) if at < nbytes else 0xFF)


@inline
def write_word(esc, word):  # type: ignore[no-untyped-def]
    """Write two bytes; gives 0 behind the end."""
    if 2 * word + 2 > load_i64(esc + _NBYTES):
        return 0
    store_i16(load_i64(esc + _BYTES_AT) + 2 * word, load_u16(load_i64(esc + _MEMORY) + _DATA))
    return 1


@inline
def command(esc, old, now):  # type: ignore[no-untyped-def]
    """The master has written 0x502, which was `old`."""
    memory = load_i64(esc + _MEMORY)
    asked, word = load_u16(memory + _CONTROL), load_u32(memory + _ADDRESS)
    kept = old & (_KEPT | _BUSY)
    what = (asked >> 8) & 7
    if old & _BUSY != 0 or load_u8(memory + _CONFIG) & 1 != 0:  # busy, or given to the device: nothing happens
        store_i16(memory + _CONTROL, old)
        return
    if what == 0:
        store_i16(memory + _CONTROL, kept | (asked & _ENABLE))
        return
    wrong = 0
    if what == _READ:
        read_words(esc, word)
    elif what == _WRITE:
        if asked & _ENABLE == 0:
            wrong = _NOT_ENABLED
        elif write_word(esc, word) == 0:
            wrong = _REFUSED
    elif what == _RELOAD:
        store_i16(memory + _ALIAS, load_u16(load_i64(esc + _BYTES_AT) + 8))
    else:
        wrong = _REFUSED
    store_i16(memory + _CONTROL, kept | wrong | (what << 8) | (0 if wrong != 0 else _BUSY))
    store_i64(esc + _READY, now + load_i64(esc + _TAKES))
