"""Each way through a slave's states, and each reason why it is refused."""

import struct

import pytest

from fieldbus.ethercat.protocol import AlState
from fieldbus.ethercat.simulated.al import AlCode, AlMachine, Refusal, Rules
from fieldbus.ethercat.simulated.sii import Mailbox
from tests.fieldbus.ethercat.simulated.fake_esc import Esc

OUT, IN = Mailbox(0x1000, 128), Mailbox(0x1080, 128)
ERROR = 0x10


def rules(**more):
    return Rules(mailboxes=(OUT, IN), output_bytes=6, input_bytes=8, **more)


def walk(esc, machine, *values):
    """Ask for these, one after the other; what is shown at the end."""
    for value in values:
        machine.request(esc, value, now_ns=1)
    return esc.shown


def test_a_slave_goes_up_step_by_step_and_down_at_once():
    esc, heard = Esc(), []
    machine = AlMachine(rules(), entered=lambda old, new: heard.append((int(old), int(new))))
    assert walk(esc, machine, 2, 4, 8) == (8, 0)
    assert walk(esc, machine, 1) == (1, 0)
    assert heard == [(1, 2), (2, 4), (4, 8), (8, 1)]


@pytest.mark.parametrize(
    ("before", "value", "code"),
    [
        ((), 4, AlCode.NO_SUCH_CHANGE),
        ((), 8, AlCode.NO_SUCH_CHANGE),
        ((2,), 8, AlCode.NO_SUCH_CHANGE),
        ((), 3, AlCode.NO_BOOTSTRAP),
        ((2,), 3, AlCode.NO_SUCH_CHANGE),
        ((2,), 6, AlCode.NO_SUCH_STATE),
        ((2,), 0, AlCode.NO_SUCH_STATE),
    ],
)
def test_a_way_that_there_is_not_is_refused(before, value, code):
    esc, machine = Esc(), AlMachine(rules())
    state = (walk(esc, machine, *before) if before else (1, 0))[0]
    assert walk(esc, machine, value) == (state | ERROR, code)


def test_after_a_refusal_only_an_acknowledgement_or_init_is_taken():
    esc, machine = Esc(), AlMachine(rules())
    refused = walk(esc, machine, 2, 8)
    assert walk(esc, machine, 4) == refused == (2 | ERROR, AlCode.NO_SUCH_CHANGE)
    assert walk(esc, machine, 2 | ERROR) == (2, 0)
    assert walk(esc, machine, 8, 4 | ERROR) == (4, 0)
    assert walk(esc, machine, 2, 8, 1) == (1, 0)


@pytest.mark.parametrize(
    ("number", "start", "nbytes", "control", "activate"),
    [
        (0, 0x1000, 128, 0x26, 0),
        (0, 0x1000, 128, 0x24, 1),
        (0, 0x1000, 128, 0x22, 1),
        (0, 0x1002, 128, 0x26, 1),
        (0, 0x1000, 33, 0x26, 1),
        (0, 0x1000, 129, 0x26, 1),
        (1, 0x1080, 128, 0x26, 1),
        (1, 0x1080, 128, 0x22, 0),
    ],
)
def test_a_mailbox_that_is_not_the_slaves_is_refused(number, start, nbytes, control, activate):
    esc = Esc()
    esc.manager(number, start, nbytes, control, activate)
    assert walk(esc, AlMachine(rules()), 2) == (1 | ERROR, AlCode.MAILBOX)


@pytest.mark.parametrize(
    ("number", "nbytes", "control", "activate", "code"),
    [
        (2, 5, 0x64, 1, AlCode.OUTPUTS),
        (2, 6, 0x60, 1, AlCode.OUTPUTS),
        (2, 6, 0x66, 1, AlCode.OUTPUTS),
        (2, 6, 0x64, 0, AlCode.OUTPUTS),
        (3, 9, 0x20, 1, AlCode.INPUTS),
        (3, 8, 0x24, 1, AlCode.INPUTS),
        (3, 8, 0x20, 0, AlCode.INPUTS),
    ],
)
def test_process_data_that_do_not_fit_the_pdos_are_refused(number, nbytes, control, activate, code):
    esc = Esc()
    esc.manager(number, 0x1100, nbytes, control, activate)
    assert walk(esc, AlMachine(rules()), 2, 4) == (2 | ERROR, code)


def test_a_sync_manager_without_pdos_must_be_off():
    esc, machine = Esc(), AlMachine(Rules(mailboxes=(OUT, IN), input_bytes=8))
    assert walk(esc, machine, 2, 4) == (2 | ERROR, AlCode.OUTPUTS)
    esc.manager(2, 0x1100, 0, 0x64, 0)
    assert walk(esc, machine, 4 | ERROR) == (4, 0)


def test_where_it_is_needed_an_fmmu_must_reach_the_process_data():
    esc, machine = Esc(), AlMachine(rules(needs_fmmus=True))
    assert walk(esc, machine, 2, 4) == (2 | ERROR, AlCode.OUTPUT_MAPPING)
    esc.fmmu(0, 0x1100, 6, 2)
    assert walk(esc, machine, 4 | ERROR) == (2 | ERROR, AlCode.INPUT_MAPPING)
    esc.fmmu(3, 0x1400, 8, 1)
    assert walk(esc, machine, 4 | ERROR) == (4, 0)


def test_where_it_is_needed_the_watchdog_must_be_on():
    esc, machine = Esc(), AlMachine(rules(needs_watchdog=True))
    assert walk(esc, machine, 2, 4) == (2 | ERROR, AlCode.WATCHDOG_SETTING)
    esc.put(0x420, b"\xe8\x03")
    assert walk(esc, machine, 4 | ERROR) == (4, 0)


@pytest.mark.parametrize(
    ("activation", "cycle", "between", "needs", "code"),
    [
        (0, 0, 0, True, AlCode.NO_SUCH_SYNC),
        (1, 1_000_000, 0, False, AlCode.CLOCK_SETTING),
        (3, 0, 0, False, AlCode.SYNC0_CYCLE),
        (3, 50_000, 0, False, AlCode.SYNC0_CYCLE),
        (7, 1_000_000, 2_000_000_000, False, AlCode.SYNC1_CYCLE),
        (3, 1_000_000, 0, True, AlCode.OK),
    ],
)
def test_a_clock_that_the_slave_cannot_have_is_refused(activation, cycle, between, needs, code):
    esc = Esc()
    esc.put(0x981, bytes([activation]))
    esc.put(0x9A0, struct.pack("<II", cycle, between))
    state = 2 | ERROR if code else 4
    assert walk(esc, AlMachine(rules(needs_clock=needs)), 2, 4) == (state, code)


def test_the_way_to_op_waits_for_outputs_but_not_for_ever():
    esc, came = Esc(), []
    machine = AlMachine(rules(), lacks=lambda: 0 if came else AlCode.NO_OUTPUTS, patience_ns=100)
    assert walk(esc, machine, 2, 4, 8) == (4, 0)
    machine.poll(esc, 50)
    assert esc.shown == (4, 0)
    machine.poll(esc, 102)
    assert esc.shown == (4 | ERROR, AlCode.NO_OUTPUTS)
    walk(esc, machine, 8 | ERROR)
    came.append(1)
    machine.poll(esc, 103)
    assert esc.shown == (8, 0)


def test_a_refusal_to_order_ends_after_its_times():
    esc, machine = Esc(), AlMachine(rules(), refusals={AlState.SAFEOP: Refusal(0x8001, 2)})
    assert walk(esc, machine, 2, 4) == (2 | ERROR, 0x8001)
    assert walk(esc, machine, 4 | ERROR) == (2 | ERROR, 0x8001)
    assert walk(esc, machine, 4 | ERROR) == (4, 0)


def test_a_slave_falls_by_itself_and_settings_are_checked_where_it_stays():
    esc, machine = Esc(), AlMachine(rules())
    walk(esc, machine, 2, 4, 8)
    machine.fall(esc, AlState.SAFEOP, AlCode.WATCHDOG)
    assert esc.shown == (4 | ERROR, AlCode.WATCHDOG)
    esc.manager(2, 0x1100, 5, 0x64)
    assert walk(esc, machine, 4 | ERROR) == (2 | ERROR, AlCode.OUTPUTS)


def test_a_slave_without_firmware_checks_nothing():
    esc, machine = Esc(), AlMachine(Rules(output_bytes=1, is_simple=True))
    assert walk(esc, machine, 2, 4, 8) == (8, 0)
