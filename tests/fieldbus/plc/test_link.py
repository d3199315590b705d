"""Links that PLC clients call: quality, communication timeout, counters, safe values."""

import time as real_time

import numpy as np
import pytest

from fieldbus.image.image import ProcessImage
from fieldbus.plc.link import PlcLink
from fieldbus.tags import Quality, Tag

TAGS = [
    Tag("level", "float32", "in"),
    Tag("flow", "int16", "in", scale=0.1),
    Tag("valve", "float32", "out", low=0, high=100, safe=5),
]
SECOND = 1_000_000_000


class _Time:
    """The clock of links and tests here: nobody's processor moves it."""

    def __init__(self):
        self._now_ns = real_time.monotonic_ns()

    def monotonic_ns(self):
        return self._now_ns

    def sleep(self, seconds):
        self._now_ns += round(seconds * SECOND)


time = _Time()


@pytest.fixture
def link(monkeypatch):
    monkeypatch.setattr("fieldbus.plc.link.time", time)
    link = PlcLink("plc", TAGS, timeout_s=0.05)
    yield link
    link.stop(safe=False)


def test_inputs_are_good_once_all_have_been_written(link):
    channel = link.subscribe(ProcessImage(), ["level", "flow"], "task")
    link.start()
    assert channel.read().quality == Quality.BAD
    link.write(np.array([1.0, 0.0]), [0])
    assert (channel.read().quality, link.status().state) == (Quality.BAD, "connecting")
    assert link.status().last_error == "no client has written flow, without which no input is good"
    link.write(np.array([1.0, 2.0]), [1])
    assert link.status().last_error == ""
    sample = channel.read()
    assert (sample.quality, sample.values.tolist(), link.status().state) == (Quality.GOOD, [1.0, 2.0], "up")


def test_a_client_that_stops_writing_is_noticed_and_has_to_write_everything_again(link):
    channel = link.subscribe(ProcessImage(), ["level", "flow"], "task")
    link.start()
    link.write(np.array([1.0, 2.0]), [0, 1])
    link.poll(time.monotonic_ns())
    assert channel.read().quality == Quality.GOOD
    link.poll(time.monotonic_ns() + SECOND)
    assert (channel.read().quality, link.status().timeouts, link.status().state) == (Quality.BAD, 1, "connecting")
    assert "no client has written for 50 ms" in link.status().last_error
    link.poll(time.monotonic_ns() + 2 * SECOND)
    assert link.status().timeouts == 1
    link.write(np.array([3.0, 2.0]), [0])
    assert channel.read().quality == Quality.BAD
    link.write(np.array([3.0, 4.0]), [1])
    assert channel.read().quality == Quality.GOOD
    link.reset_counters()
    assert (link.status().timeouts, link.status().reads) == (0, 0)


def test_what_was_written_before_a_silence_does_not_count(link):
    """A client that wrote one half and vanished, and one that writes the other half later, make no good group."""
    channel = link.subscribe(ProcessImage(), ["level", "flow"], "task")
    link.start()
    link.write(np.array([1.0, 0.0]), [0])
    time.sleep(0.06)
    link.write(np.array([1.0, 2.0]), [1])  # no poll in between
    assert (channel.read().quality, link.status().state) == (Quality.BAD, "connecting")
    link.poll(time.monotonic_ns())
    link.write(np.array([1.0, 2.0]), [0])
    assert channel.read().quality == Quality.GOOD
    time.sleep(0.06)
    link.write(np.array([1.0, 3.0]), [1])
    assert (channel.read().quality, link.status().timeouts) == (Quality.BAD, 1)


def test_what_was_written_while_the_process_stood_still_is_no_younger_than_that(link):
    """It may have lain since the servers looked last: its age counts from one poll after that, and it is not good."""
    channel = link.subscribe(ProcessImage(), ["level", "flow"], "task")
    link.start()
    link.poll(time.monotonic_ns())
    link.write(np.array([1.0, 2.0]), [0, 1])
    assert channel.read().quality == Quality.GOOD
    looked_ns = time.monotonic_ns()
    link.poll(looked_ns)
    time.sleep(0.1)  # SIGSTOP, or a held interpreter
    link.write(np.array([3.0, 4.0]), [0, 1])
    assert channel.read().quality == Quality.BAD
    assert channel.read().timestamp_ns == looked_ns + SECOND // 80
    link.poll(time.monotonic_ns())
    link.write(np.array([5.0, 6.0]), [0, 1])
    assert channel.read().quality == Quality.GOOD


def test_outputs_are_what_a_task_drives_and_safe_when_it_does_not(link):
    channel = link.drive(ProcessImage(), ["valve"], "task")
    link.start()
    assert link.outputs().tolist() == [5.0]
    channel.write([150.0], timestamp_ns=time.monotonic_ns())
    assert link.outputs().tolist() == [100.0]
    channel.write([20.0], Quality.BAD, time.monotonic_ns())
    assert link.outputs().tolist() == [5.0]
    channel.write([20.0], timestamp_ns=time.monotonic_ns() - SECOND)
    assert link.outputs().tolist() == [5.0]
    status = link.status()
    assert (status.writes, status.safe_writes, status.limited) == (4, 3, 1)


def test_a_read_after_the_end_confirms_the_safe_values(link):
    link.start()
    link.outputs()
    link.ask_to_stop()
    assert not link.stop()
    link.start()
    link.ask_to_stop()
    link.outputs()
    assert link.stop()
    assert not link.write(np.array([1.0, 2.0]), [0, 1])
    assert link.status().state == "stopped"


def test_of_many_inputs_that_are_left_out_a_few_are_named():
    link = PlcLink("plc", [Tag(f"t{i}", "float32", "in", count=2) for i in range(6)])
    link.start()
    link.write(np.zeros(12), [0, 1, 2])
    assert link.status().last_error.startswith("no client has written t1, t2, t3 and 2 more,")
    link.stop(safe=False)
