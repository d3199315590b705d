"""Asking again where it helps, pauses that are learned, and what is never asked."""

import pytest

from fieldbus.errors import NoAnswerError, RefusedError
from fieldbus.modbus.scan.asking import READS
from tests.fieldbus.modbus.scan.devices import Device, asker_of, words

UNITS = {1: {"holding": words(0, 10)}}
FIRST = b"\0\0\0\1"


@pytest.mark.parametrize("code", [5, 6, 10, 11])
def test_a_refusal_that_passes_is_asked_again(code):
    """Busy, still working, no path just now: the answer comes, and it is counted."""
    asker = asker_of(Device(UNITS, busy_every=2, busy_code=code))
    assert [asker.ask(1, 3, FIRST).hex() for _ in range(4)] == ["020000"] * 4
    assert asker.busy == 3


@pytest.mark.parametrize("code", [1, 2, 3, 4])
def test_a_refusal_that_lasts_is_not(code):
    """It is raised at once."""
    device = Device(UNITS, busy_every=1, busy_code=code)
    with pytest.raises(RefusedError):
        asker_of(device).ask(1, 3, FIRST)
    assert len(device.asked) == 1


@pytest.mark.parametrize("function", sorted({5, 6, 8, 15, 16, 22, 23} - READS))
def test_what_may_change_a_device_is_never_asked(function):
    """It is a mistake of ours, and nothing is sent."""
    device = Device(UNITS)
    with pytest.raises(AssertionError):
        asker_of(device).ask(1, function, FIRST)
    assert device.asked == []


def test_a_device_that_is_deaf_after_connecting_is_asked_again():
    """On the same connection; how long it was deaf is known, and it is no reason for pauses."""
    asker = asker_of(Device(UNITS, deaf_s=0.35))
    assert asker.ask(1, 3, FIRST, silent_tries=1).hex() == "020000"
    assert 0.35 <= asker.deaf_s <= 0.5
    asker.calibrate(1)
    assert not asker.needs_pause


@pytest.mark.parametrize("gap_s", [0.004, 0.01, 0.03])
def test_a_pause_is_learned(gap_s):
    """A device that loses what comes too soon after an answer: the pause is enough, and no more is lost."""
    asker = asker_of(Device(UNITS, gap_s=gap_s))
    asker.ask(1, 3, FIRST)
    asker.calibrate(1)
    assert asker.needs_pause
    assert gap_s <= asker.pause_s <= 3 * gap_s
    lost = asker.lost
    for _ in range(20):
        asker.ask(1, 3, FIRST)
    assert asker.lost == lost


def test_no_pause_is_learned_of_a_good_device():
    """One that answers everything."""
    asker = asker_of(Device(UNITS))
    asker.ask(1, 3, FIRST)
    asker.calibrate(1)
    assert (asker.pause_s, asker.needs_pause, asker.lost) == (0.0, False, 0)


def test_a_device_that_hangs_is_connected_anew():
    """It answers nothing after a function code that it does not know; then it is still there, and that is counted."""
    asker = asker_of(Device(UNITS, hangs_on=(17,)))
    asker.ask(1, 3, FIRST)
    with pytest.raises(NoAnswerError):
        asker.ask(1, 17, b"")
    asker.still_there(1)
    assert asker.hung == 1


def test_a_device_that_is_gone_is_told():
    """Also on a new connection it is silent."""
    device = Device(UNITS)
    asker = asker_of(device)
    asker.ask(1, 3, FIRST)
    device.units = {}
    with pytest.raises(NoAnswerError):
        asker.still_there(1)
