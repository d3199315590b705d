"""Process data -> sync managers and FMMUs."""

import pytest

from fieldbus.errors import RefusedError
from fieldbus.ethercat.slaves.entries import PdoEntry
from fieldbus.ethercat.slaves.layout import Fmmu, lay_out
from fieldbus.ethercat.slaves.sii import INPUTS, MAILBOX_IN, MAILBOX_OUT, OUTPUTS, SyncManager

DRIVE = (
    SyncManager(0x1000, 128, 0x26, True, MAILBOX_OUT),
    SyncManager(0x1080, 128, 0x22, True, MAILBOX_IN),
    SyncManager(0x1100, 0, 0x64, False, OUTPUTS),
    SyncManager(0x1400, 0, 0x20, False, INPUTS),
)


def entry(direction, manager, bits, at):
    return PdoEntry(direction, 0x1600, 0x6040, 0, bits, "x", "uint16", at, manager)


def test_outputs_and_inputs_of_a_slave_begin_at_the_same_logical_byte():
    entries = [entry("out", 2, 16, 0), entry("out", 2, 32, 16), entry("in", 3, 16, 0)]
    layout = lay_out(entries, DRIVE, 0x100, 8)
    assert (layout.out_bytes, layout.in_bytes, layout.nbytes) == (6, 2, 6)
    assert layout.fmmus == (Fmmu(0x100, 6, 0x1100, True), Fmmu(0x100, 2, 0x1400, False))
    assert [w.register for w in layout.windows] == [
        bytes.fromhex("0011060064000100"),
        bytes.fromhex("0014020020000100"),
    ]
    assert layout.fmmus[0].register == bytes.fromhex("00010000 0600 00 07 0011 00 02 01 000000")
    assert layout.fmmus[1].register == bytes.fromhex("00010000 0200 00 07 0014 00 01 01 000000")


def test_sync_managers_one_behind_the_other_share_an_fmmu():
    """A terminal with 16 digital outputs has two of a byte."""
    managers = (SyncManager(0x0F00, 1, 0x44, True, OUTPUTS), SyncManager(0x0F01, 1, 0x44, True, OUTPUTS))
    layout = lay_out(
        [entry("out", 0, 1, i) for i in range(8)] + [entry("out", 1, 1, 8 + i) for i in range(8)], managers, 0, 2
    )
    assert layout.fmmus == (Fmmu(0, 2, 0x0F00, True),)
    assert [w.length for w in layout.windows] == [1, 1]


def test_bits_fill_whole_bytes():
    layout = lay_out([entry("in", 0, 1, i) for i in range(4)], (SyncManager(0x1000, 1, 0x00, True, INPUTS),), 0, 1)
    assert (layout.in_bytes, layout.in_words) == (1, "0 bytes of outputs, 1 bytes of inputs (sync manager 0)")


def test_what_has_no_room_is_refused_with_both_sizes():
    """A buffered sync manager has three buffers: 0x300 bytes hold three of 256."""
    with pytest.raises(RefusedError, match="257 bytes of outputs for sync manager 2, which has room for 256"):
        lay_out([entry("out", 2, 8 * 257, 0)], DRIVE, 0, 8)
    lay_out([entry("out", 2, 8 * 256, 0)], DRIVE, 0, 8)


def test_what_has_no_fmmu_or_no_sync_manager_is_refused():
    with pytest.raises(RefusedError, match="lies in 2 pieces, and it has 1 FMMUs"):
        lay_out([entry("out", 2, 8, 0), entry("in", 3, 8, 0)], DRIVE, 0, 1)
    with pytest.raises(RefusedError, match="2 bytes of outputs are for sync manager 4, and its EEPROM has 4"):
        lay_out([entry("out", 4, 16, 0)], DRIVE, 0, 8)


def test_an_eeprom_whose_process_data_lie_among_registers_is_refused():
    """Below 0x0F00 outputs would be written into registers; a 17th sync manager's registers are those of the clock."""
    managers = (*DRIVE[:2], SyncManager(0x0120, 0, 0x64, False, OUTPUTS))
    with pytest.raises(RefusedError, match="sync manager 2 at 0x0120"):
        lay_out([entry("out", 2, 8, 0)], managers, 0, 8)
    with pytest.raises(RefusedError, match="sync manager 16 at 0x1000; there are 16"):
        lay_out([entry("out", 16, 8, 0)], (SyncManager(0x1000, 0, 0x64, False, OUTPUTS),) * 17, 0, 8)


def test_more_than_a_datagram_holds_is_refused():
    managers = (*DRIVE[:3], SyncManager(0x4000, 0, 0x20, False, INPUTS))
    with pytest.raises(RefusedError, match=r"1487 bytes of inputs.*a datagram holds 1486"):
        lay_out([entry("in", 3, 8 * 1487, 0)], managers, 0, 8)


def test_a_slave_without_process_data_has_nothing():
    """A coupler."""
    layout = lay_out([], (), 8, 0)
    assert (layout.nbytes, layout.windows, layout.fmmus) == (0, (), ())
