"""The life of a link: states, loss, recovery, stopping. The device is a script of what happens at each exchange."""

import threading
import time

import numpy as np
import pytest
from numpy.typing import NDArray

from fieldbus.errors import (
    ChannelError,
    ConfigurationError,
    ConnectionLostError,
    DeviceError,
    GarbageError,
    NoAnswerError,
    RefusedError,
)
from fieldbus.image.image import ProcessImage
from fieldbus.link.cyclic import CyclicLink
from fieldbus.link.ports import Outputs
from fieldbus.tags import Quality, Tag
from tests.waiting import PATIENCE_S, wait_for

TAGS = [Tag("x", "float64", "in"), Tag("u", "float64", "out", safe=-1.0)]
TIMEOUT_S = 0.5


class Scripted(CyclicLink):
    """Answers x = number of the exchange, unless `fault` is to be raised; keeps all that was written."""

    def __init__(self, cycle_s: float = 0.002, timeout_s: float = TIMEOUT_S) -> None:
        super().__init__("plc", TAGS, cycle_s, timeout_s, backoff_s=(0.01, 0.02))
        self.fault: BaseException | None = None
        self.no_connection = False
        self.opened = self.closed = self.exchanges = 0
        self.written: list[float] = []

    def _open(self, deadline_ns: int) -> None:
        if self.no_connection:
            raise ConnectionLostError("cable pulled")
        self.opened += 1

    def _close(self) -> None:
        self.closed += 1

    def _exchange(self, outputs: NDArray[np.float64], inputs: NDArray[np.float64], deadline_ns: int) -> int:
        self._write(outputs, deadline_ns)
        self.exchanges += 1
        inputs[:] = self.exchanges
        return time.monotonic_ns()

    def _write(self, outputs: NDArray[np.float64], deadline_ns: int) -> None:
        if self.fault:
            raise self.fault
        self._out.check_age()
        self.written.append(float(outputs[0]))


def test_a_link_reads_and_writes_until_it_is_stopped() -> None:
    """Up after the first good exchange; subscribers GOOD; after stop BAD, and the last thing written is safe."""
    link, image = Scripted(timeout_s=10.0), ProcessImage()
    x, u = link.subscribe(image, ["x"], "task"), link.drive(image, ["u"], "task")
    assert link.status().state == "stopped"
    link.start()
    assert link.wait_up(PATIENCE_S)
    wait_for(lambda: u.write([0.5]) is None and 0.5 in link.written)
    sample = x.read()
    assert (sample.quality, sample.values[0] >= 1) == (Quality.GOOD, True)
    assert link.stop() is True
    status = link.status()
    assert (status.state, status.errors, status.last_error) == ("stopped", 0, "")
    assert status.reads == status.writes == link.exchanges == status.round_trip.count
    assert link.written[-1] == -1.0
    assert x.read().quality is Quality.BAD


def test_a_status_that_counts_an_error_has_its_reason() -> None:
    """Also one that is asked for just while the error happens."""

    class Struck(Scripted):
        def _doubts(self) -> str:
            self._failed("cut")
            return ""

    link = Struck()
    assert [(status.errors, status.last_error) for status in (link.status(), link.status())] == [(0, ""), (1, "cut")]


def test_stop_without_safe_writes_nothing_more() -> None:
    """`stop(safe=False)` leaves the outputs as they are, and says that no safe values were confirmed."""
    link, image = Scripted(timeout_s=10.0), ProcessImage()
    u = link.drive(image, ["u"], "task")
    link.start()
    wait_for(lambda: u.write([0.5]) is None and 0.5 in link.written)
    assert link.stop(safe=False) is False
    assert link.written[-1] == 0.5


@pytest.mark.parametrize("fault", [ConnectionLostError("cut"), NoAnswerError("silence"), GarbageError("noise")])
def test_a_lost_connection_is_bad_at_once_and_recovers_by_itself(fault: DeviceError) -> None:
    """BAD for every subscriber, closed, and after the backoff connected anew."""
    link, image = Scripted(), ProcessImage()
    readers = [link.subscribe(image, ["x"], f"task{i}") for i in range(3)]
    with link:
        assert link.wait_up(PATIENCE_S)
        link.fault = fault
        wait_for(lambda: all(r.read().quality is Quality.BAD for r in readers))
        wait_for(lambda: link.status().state == "down")
        link.fault = None
        wait_for(lambda: all(r.read().quality is Quality.GOOD for r in readers))
        assert link.wait_up(PATIENCE_S)
        assert link.opened >= 2
        assert link.status().reconnects >= 1
        assert link.status().last_error == str(fault)


def test_a_refusal_is_bad_but_keeps_the_connection() -> None:
    """Degraded: asked again every cycle on the same connection, up at the first good answer."""
    link, image = Scripted(), ProcessImage()
    x = link.subscribe(image, ["x"], "task")
    with link:
        assert link.wait_up(PATIENCE_S)
        link.fault = RefusedError("exception 2", 2)
        wait_for(lambda: x.read().quality is Quality.BAD and link.status().errors > 3)
        assert link.status().state == "degraded"
        link.fault = None
        wait_for(lambda: x.read().quality is Quality.GOOD)
        assert link.wait_up(PATIENCE_S)
        assert (link.opened, link.status().reconnects) == (1, 0)


def test_an_error_of_our_own_is_bad_too_and_not_the_end() -> None:
    """An unexpected exception is logged, shown, and survived: no subscriber keeps a value that looks good."""
    link, image = Scripted(), ProcessImage()
    x = link.subscribe(image, ["x"], "task")
    with link:
        assert link.wait_up(PATIENCE_S)
        link.fault = ZeroDivisionError("bug")
        wait_for(lambda: "internal error, please report: ZeroDivisionError" in link.status().last_error)
        wait_for(lambda: x.read().quality is Quality.BAD)
        link.fault = None
        wait_for(lambda: x.read().quality is Quality.GOOD)


def test_after_a_reconnect_the_first_write_is_fresh_or_safe() -> None:
    """A driver that went on: its newest sample. A driver that died meanwhile: the safe value."""
    for alive, first in ((True, 0.75), (False, -1.0)):
        link, image = Scripted(timeout_s=1.0), ProcessImage()
        u = link.drive(image, ["u"], "task")
        with link:
            wait_for(lambda u=u, link=link: u.write([0.5]) is None and 0.5 in link.written)  # type: ignore[misc]
            link.no_connection, link.fault = True, ConnectionLostError("cut")
            wait_for(lambda link=link: link.status().state == "down")  # type: ignore[misc]
            link.written.clear()
            if alive:
                u.write([0.75], timestamp_ns=time.monotonic_ns() + round(PATIENCE_S * 1e9))  # as if it went on so long
            else:
                time.sleep(1.1)  # longer than the timeout: the sample is old now
            link.fault, link.no_connection = None, False
            wait_for(lambda link=link: bool(link.written))  # type: ignore[misc]
            assert link.written[0] == first


def test_a_task_that_stops_writing_cannot_keep_an_actuator_on() -> None:
    """After `timeout_s` without a new sample the safe value is sent, and counted."""
    link, image = Scripted(timeout_s=0.05), ProcessImage()
    u = link.drive(image, ["u"], "task")
    with link:
        wait_for(lambda: u.write([0.5]) is None and 0.5 in link.written)
        safe_writes = link.status().safe_writes
        wait_for(lambda: link.written[-1] == -1.0 and link.status().safe_writes > safe_writes)


def test_outputs_that_grow_old_before_they_are_sent_are_sent_as_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process stands still between gathering and sending: what was gathered is not sent, and what is is counted."""
    link, image = Scripted(), ProcessImage()
    u = link.drive(image, ["u"], "task")
    gather, has_stood = Outputs.gather, threading.Event()

    def stand_still(outputs: Outputs, now_ns: int) -> tuple[bool, int]:
        monkeypatch.setattr(Outputs, "gather", gather)
        u.write([0.5], timestamp_ns=now_ns)
        gathered = gather(outputs, now_ns)
        assert outputs.values[0] == 0.5
        link.written.clear()
        link.reset_counters()
        time.sleep(1.1 * TIMEOUT_S)
        has_stood.set()
        return gathered

    with link:
        wait_for(lambda: u.write([0.5]) is None and 0.5 in link.written)
        monkeypatch.setattr(Outputs, "gather", stand_still)
        assert has_stood.wait(PATIENCE_S)
        wait_for(lambda: link.status().safe_writes > 0)
        assert set(link.written) == {-1.0}


def test_inputs_are_as_old_as_the_question() -> None:
    """Their time is when they were asked for, not when Python reads the answer; older than the timeout they are BAD."""
    link, image = Scripted(), ProcessImage()
    x = link.subscribe(image, ["x"], "task")
    asked_ns = time.monotonic_ns() - round(0.5 * TIMEOUT_S * 1e9)
    link._exchange = lambda *_: asked_ns  # type: ignore[method-assign]
    with link:
        assert link.wait_up(PATIENCE_S)
        assert x.read().timestamp_ns == asked_ns
        wait_for(lambda: x.read().quality is Quality.BAD)
        assert link.status().state == "up"


def test_stop_writes_safe_values_even_if_the_link_is_down() -> None:
    """One attempt to connect is made for it; if that fails too, stop says so."""
    link = Scripted()
    link.no_connection = True
    link.start()
    wait_for(lambda: link.status().state == "down")
    assert link.stop() is False
    assert "safe values not written: cable pulled" in link.status().last_error
    link.start()
    wait_for(lambda: link.status().state == "down")
    link.no_connection = False
    assert link.stop() is True
    assert link.written[-1] == -1.0


def test_stop_writes_safe_values_on_a_new_connection_if_the_old_one_is_cut() -> None:
    """The cut is noticed by the last write itself: it is repeated on a new connection."""
    link = Scripted(cycle_s=0.5, timeout_s=1.0)
    link.start()
    assert link.wait_up(PATIENCE_S)

    def cut_until_reopened(outputs: NDArray[np.float64], deadline_ns: int) -> None:
        if link.opened == 1:
            raise ConnectionLostError("cut")
        Scripted._write(link, outputs, deadline_ns)

    link._write = cut_until_reopened  # type: ignore[method-assign]
    assert link.stop() is True
    assert (link.opened, link.written[-1]) == (2, -1.0)


def test_stop_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device function that never returns cannot be stopped: `stop` gives up and says so."""
    from fieldbus.inprocess.link import InProcessLink

    monkeypatch.setattr("fieldbus.link.cyclic.CONNECT_S", 0.02)
    stuck, release = threading.Event(), threading.Event()

    def device(outputs: object) -> dict[str, float]:
        stuck.set()
        release.wait(10.0)
        return {"x": 1.0}

    link = InProcessLink("sim", TAGS, device, cycle_s=0.001, timeout_s=0.01)
    link.start()
    assert stuck.wait(60.0)
    assert link.stop() is False
    assert "the device does not return" in link.status().last_error
    release.set()
    wait_for(lambda: link.status().state == "stopped")


def test_a_link_can_be_started_again_but_not_twice() -> None:
    """`start` on a running link raises `ConfigurationError`; after `stop` it works again."""
    link = Scripted()
    for _ in range(2):
        link.start()
        with pytest.raises(ConfigurationError, match="link 'plc' runs already"):
            link.start()
        assert link.wait_up(PATIENCE_S)
        link.stop()
    assert link.stop() is False


@pytest.mark.parametrize(
    ("cycle_s", "timeout_s", "tags", "message"),
    [
        (0.0, 1.0, TAGS, "cycle_s 0.0 must be above 0"),
        (0.1, 0.15, TAGS, "timeout_s 0.15 at least twice as long"),
        (0.1, 1.0, [], "one or more tags"),
        (0.1, 1.0, [TAGS[0], TAGS[0]], "each name once"),
    ],
)
def test_an_impossible_link_is_refused(cycle_s: float, timeout_s: float, tags: list[Tag], message: str) -> None:
    """Times that cannot be kept, and missing or doubled tags, raise `ConfigurationError`."""
    from fieldbus.inprocess.link import InProcessLink

    with pytest.raises(ConfigurationError, match=message):
        InProcessLink("plc", tags, lambda outputs: {}, cycle_s, timeout_s)


def test_channels_have_the_right_direction_and_one_writer() -> None:
    """Subscribing to an output, driving an input, or driving twice raises `ChannelError`."""
    link, image = Scripted(), ProcessImage()
    with pytest.raises(ChannelError, match="no tag 'u' of that direction; it has x"):
        link.subscribe(image, ["u"], "task")
    with pytest.raises(ChannelError, match="no tag 'x' of that direction; it has u"):
        link.drive(image, ["x"], "task")
    link.drive(image, ["u"], "one")
    with pytest.raises(ChannelError, match="output 'u' has two writers: 'one' and 'two'"):
        link.drive(image, ["u"], "two")


def test_a_mistake_in_closing_does_not_end_the_thread() -> None:
    """Closing raises something unforeseen: the link still finds the device again, and writes its safe values at stop."""

    class Stubborn(Scripted):
        def _close(self) -> None:
            raise RuntimeError("cannot close")

    link = Stubborn()
    link.start()
    assert link.wait_up(PATIENCE_S)
    link.fault = ConnectionLostError("cut")
    wait_for(lambda: "cannot close" in link.status().last_error)
    link.fault = None
    assert link.wait_up(PATIENCE_S)
    assert link.stop() is True
    assert link.written[-1] == -1.0


def test_links_stop_at_the_same_time() -> None:
    """Asked to stop, a link writes its safe values although nobody waits for it yet."""
    link = Scripted()
    link.start()
    assert link.wait_up(PATIENCE_S)
    link.ask_to_stop()
    wait_for(lambda: link.status().state == "stopped")
    assert link.written[-1] == -1.0
    assert link.stop() is True


def test_a_stop_before_the_thread_began_writes_the_safe_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Started and stopped at once: the device still hears the safe values, and the thread ends in order."""
    link = Scripted()
    monkeypatch.setattr(link._stop, "clear", lambda: None)
    link._safe_at_stop = True
    link._stop.set()
    link.start()
    wait_for(lambda: link.written == [-1.0])
    assert link.stop() is True
    assert link.status().state == "stopped"
