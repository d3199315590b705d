"""One read goes to all subscribers; all drivers go into one write. Time is a number here."""

import math

import numpy as np
import pytest

from fieldbus.errors import ChannelError
from fieldbus.image.image import Channel, ProcessImage
from fieldbus.link.ports import Cells, Inputs, Outputs
from fieldbus.tags import Quality, Tag

TIMEOUT_NS = 100


def outputs_of(*tags: Tag) -> tuple[Outputs, ProcessImage]:
    return Outputs(Cells("plc", tags), TIMEOUT_NS), ProcessImage()


def driver(outputs: Outputs, image: ProcessImage, *names: str) -> Channel:
    tags = outputs.cells.select(names)
    channel = image.channel("-".join(names), tags, writer="-".join(names), reader="plc")
    outputs.add(channel)
    return channel


A = Tag("a", "float32", "out", low=-1.0, high=1.0, safe=0.5)
B = Tag("b", "float32", "out", safe=-3.0, count=2)


def test_two_drivers_are_merged_in_the_order_of_the_tags() -> None:
    """Each driver fills its own cells."""
    outputs, image = outputs_of(A, B)
    b, a = driver(outputs, image, "b"), driver(outputs, image, "a")
    a.write([0.25], timestamp_ns=1000)
    b.write([7.0, 8.0], timestamp_ns=1000)
    assert outputs.gather(1000) == (False, 0)
    assert outputs.values.tolist() == [0.25, 7.0, 8.0]


@pytest.mark.parametrize(
    ("age_ns", "quality", "sent"),
    [
        (0, Quality.GOOD, 0.25),
        (TIMEOUT_NS, Quality.GOOD, 0.25),
        (TIMEOUT_NS + 1, Quality.GOOD, 0.5),
        (0, Quality.STALE, 0.25),
        (0, Quality.BAD, 0.5),
    ],
)
def test_a_bad_or_old_sample_is_sent_as_the_safe_value(age_ns: int, quality: Quality, sent: float) -> None:
    """The age counts from the sample's own timestamp, against the link's timeout."""
    outputs, image = outputs_of(A)
    driver(outputs, image, "a").write([0.25], quality, timestamp_ns=1000)
    assert outputs.gather(1000 + age_ns)[0] is (sent == 0.5)
    assert outputs.values.tolist() == [sent]


def test_one_dead_driver_does_not_stop_the_other() -> None:
    """Safe values per channel: the living task's outputs go on."""
    outputs, image = outputs_of(A, B)
    driver(outputs, image, "a").write([0.25], timestamp_ns=0)
    driver(outputs, image, "b").write([7.0, 8.0], timestamp_ns=1000)
    assert outputs.gather(1000) == (True, 0)
    assert outputs.values.tolist() == [0.5, 7.0, 8.0]


def test_outputs_without_a_writer_are_safe() -> None:
    """Nobody drives, or somebody will but has not yet: safe values."""
    outputs, image = outputs_of(A, B)
    driver(outputs, image, "b")
    assert outputs.gather(10**12)[0] is True
    assert outputs.values.tolist() == [0.5, -3.0, -3.0]


def test_limits_apply_to_what_is_sent() -> None:
    """Beyond the limit becomes the limit, NaN the safe value; both are counted."""
    outputs, image = outputs_of(A, B)
    driver(outputs, image, "a").write([9.0], timestamp_ns=0)
    driver(outputs, image, "b").write([math.nan, 1.0], timestamp_ns=0)
    assert outputs.gather(0) == (False, 2)
    assert outputs.values.tolist() == [1.0, -3.0, 1.0]


def test_an_output_has_one_writer() -> None:
    """A second writer raises `ChannelError` that names both."""
    outputs, image = outputs_of(A)
    driver(outputs, image, "a")
    with pytest.raises(ChannelError, match="output 'a' has two writers: 'a' and 'second'"):
        outputs.free([A], "second")


def test_every_subscriber_gets_its_own_selection() -> None:
    """Same read, different tags in different orders, same stamp."""
    x, y = Tag("x", "int16", "in"), Tag("y", "int16", "in", count=2)
    inputs, image = Inputs(Cells("plc", [x, y])), ProcessImage()
    both = image.channel("both", [y, x], writer="plc", reader="t1")
    one = image.channel("one", [x], writer="plc", reader="t2")
    inputs.add(both)
    inputs.add(one)
    inputs.incoming[:] = [1.0, 2.0, 3.0]
    inputs.accept(55)
    inputs.publish(Quality.GOOD)
    assert both.read().values.tolist() == [2.0, 3.0, 1.0]
    assert one.read().values.tolist() == [1.0]
    assert {both.read().timestamp_ns, one.read().timestamp_ns} == {55}


def test_an_incomplete_read_does_not_touch_the_values() -> None:
    """What came in before a failure is not shown: subscribers keep the last complete values and their time."""
    x = Tag("x", "int16", "in", count=2)
    inputs, image = Inputs(Cells("plc", [x])), ProcessImage()
    channel = image.channel("c", [x], writer="plc", reader="t")
    inputs.add(channel)
    inputs.incoming[:] = [1.0, 2.0]
    inputs.accept(10)
    inputs.incoming[0] = 99.0
    inputs.publish(Quality.BAD)
    sample = channel.read()
    assert (sample.values.tolist(), sample.timestamp_ns, sample.quality) == ([1.0, 2.0], 10, Quality.BAD)


def test_an_unknown_tag_is_refused() -> None:
    """`ChannelError` lists what the link has of that direction."""
    with pytest.raises(ChannelError, match="link 'plc' has no tag 'z' of that direction; it has x"):
        Cells("plc", [Tag("x", "bool", "in")]).select(["z"])


def test_cells_are_in_the_order_of_the_tags() -> None:
    """Arrays take consecutive cells."""
    tags = [Tag("a", "bool", "in", count=2), Tag("b", "bool", "in")]
    assert Cells("plc", tags).of(tags[::-1]).tolist() == [2, 0, 1]
    assert np.array_equal(Cells("plc", tags).of([]), [])
