"""Channels: every read is one whole write."""

import gc
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fieldbus.errors import ChannelError
from fieldbus.image.image import NATIVE, ProcessImage
from fieldbus.image.image_layout import CHANNEL, SLOT, channel_bytes
from fieldbus.tags import Quality, Tag
from rt_native.library import Library

TORN = Library("fieldbus-torn", modules=("torn_native",), path=(str(Path(__file__).parent),))
CELLS = 512


def hammer(writer: str, rounds: int) -> int:
    """Two threads on one channel in native code, without the GIL; gives the number of bad reads."""
    channel = ProcessImage().channel("c", [Tag("x", "float64", "in", count=CELLS)], writer="w", reader="r")
    write, read = TORN.function(writer), TORN.function("hammer_read")
    threads = [threading.Thread(target=write, args=(channel.address, 1, rounds))]
    bad: list[int] = []
    threads.append(threading.Thread(target=lambda: bad.append(read(channel.address, rounds))))
    for thread in reversed(threads):
        thread.start()
    for thread in threads:
        thread.join()
    return bad[0]


def test_no_read_is_torn_or_goes_back_in_time() -> None:
    """Over 400,000 writes of 512 cells, every read belongs to one write, and reads are in order."""
    assert hammer("hammer_write", 400_000) == 0


def test_the_check_for_torn_reads_sees_a_planted_one() -> None:
    """The same hammering without the triple buffer is caught."""
    deadline = time.monotonic() + 60.0
    while hammer("hammer_write_torn", 100_000) == 0:
        assert time.monotonic() < deadline, "the planted tear was never seen"


def test_a_channel_that_nobody_wrote_is_bad() -> None:
    """Before the first write: quality BAD, counter 0."""
    sample = ProcessImage().channel("c", [Tag("x", "int16", "in")], writer="w", reader="r").read()
    assert (sample.quality, sample.counter, sample.timestamp_ns) == (Quality.BAD, 0, 0)


def test_a_reader_sees_the_newest_write_with_its_stamp() -> None:
    """Of several writes the last one counts; reading again gives it again; values are a private copy."""
    channel = ProcessImage().channel("c", [Tag("x", "int16", "in"), Tag("y", "bool", "in")], writer="w", reader="r")
    channel.write([1.0, 0.0], timestamp_ns=10)
    channel.write([2.0, 1.0], Quality.STALE, timestamp_ns=20)
    sample = channel.read()
    assert (sample.values.tolist(), sample.timestamp_ns, sample.counter) == ([2.0, 1.0], 20, 2)
    assert sample.quality is Quality.STALE
    channel.write([3.0, 1.0])
    assert sample.values.tolist() == [2.0, 1.0]
    assert channel.read().quality is Quality.GOOD
    assert channel.read().counter == 3
    assert abs(time.monotonic_ns() - channel.read().timestamp_ns) < 10 * 10**9


def test_a_reader_keeps_its_slot_while_the_writer_goes_on() -> None:
    """What `latest` gave does not change under the reader, however many writes follow."""
    channel = ProcessImage().channel("c", [Tag("x", "float64", "in")], writer="w", reader="r")
    channel.write([1.0])
    values, *_ = channel.latest()
    for n in range(10):
        channel.write([float(n)])
        assert values.tolist() == [1.0]
    assert channel.latest()[0].tolist() == [9.0]


def test_python_and_native_code_see_the_same_layout() -> None:
    """The slot that native `channel_latch` gives starts with timestamp, counter, quality; values are at byte 64."""
    import ctypes

    channel = ProcessImage().channel("c", [Tag("x", "float64", "in", count=2)], writer="w", reader="r")
    channel.write([5.0, 6.0], Quality.STALE, timestamp_ns=77)
    slot = NATIVE.function("channel_latch")(channel.address)
    assert slot % 64 == 0
    head = np.frombuffer(ctypes.string_at(slot, SLOT.itemsize), SLOT)[0]
    assert (head["timestamp_ns"], head["counter"], head["quality"]) == (77, 1, 1)
    assert np.frombuffer(ctypes.string_at(slot + 64, 16), np.float64).tolist() == [5.0, 6.0]


def test_what_native_code_publishes_python_reads() -> None:
    """`channel_back` gives a slot to fill, `channel_publish` numbers it and makes it the newest."""
    import ctypes

    channel = ProcessImage().channel("c", [Tag("x", "float64", "in")], writer="w", reader="r")
    slot = NATIVE.function("channel_back")(channel.address)
    ctypes.c_int64.from_address(slot + 16).value = Quality.GOOD
    ctypes.c_double.from_address(slot + 64).value = 2.5
    assert NATIVE.function("channel_publish")(channel.address) == 1
    assert channel.read().values.tolist() == [2.5]


def test_both_sides_of_a_channel_have_cache_lines_of_their_own() -> None:
    """Writer's, reader's and shared words are 64 bytes apart."""
    fields = CHANNEL.fields
    assert fields is not None
    lines = [fields[name][1] // 64 for name in ("cells", "back", "front", "state")]
    assert len(set(lines)) == 4
    assert channel_bytes(1) == 256 + 3 * 128


def test_channels_do_not_overlap() -> None:
    """Many channels, more than one chunk of memory holds: each keeps its own values."""
    image = ProcessImage()
    tags = [Tag("x", "float64", "in", count=300)]
    channels = [image.channel(f"c{i}", tags, writer="w", reader="r") for i in range(40)]
    for i, channel in enumerate(channels):
        channel.write(np.full(300, float(i)))
    assert [c.read().values.tolist() for c in channels] == [[float(i)] * 300 for i in range(40)]


def test_a_channel_outlives_its_image() -> None:
    """The memory stays as long as the channel does."""
    channel = ProcessImage().channel("c", [Tag("x", "float64", "in")], writer="w", reader="r")
    gc.collect()
    channel.write([4.0])
    assert channel.read().values.tolist() == [4.0]


def test_cells_follow_the_tags() -> None:
    """`index` is the first cell of a tag; an unknown tag raises `ChannelError` with what there is."""
    tags = [Tag("a", "int16", "in", count=3), Tag("b", "bool", "in")]
    channel = ProcessImage().channel("c", tags, writer="w", reader="r")
    assert (channel.index("a"), channel.index("b"), channel.cells) == (0, 3, 4)
    with pytest.raises(ChannelError, match="channel 'c' has no tag 'z'; it carries a, b"):
        channel.index("z")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda i, t: i.channel("c", [t], writer="w", reader="r"), "there is a channel 'c' already"),
        (lambda i, t: i.channel("d", [], writer="w", reader="r"), "one or more different tags"),
        (lambda i, t: i.channel("d", [t, t], writer="w", reader="r"), "one or more different tags"),
    ],
)
def test_an_impossible_channel_is_refused(make: Callable[[ProcessImage, Tag], object], message: str) -> None:
    """A second channel of a name, and one without or with doubled tags, raise `ChannelError`."""
    image, tag = ProcessImage(), Tag("x", "bool", "in")
    image.channel("c", [tag], writer="w", reader="r")
    with pytest.raises(ChannelError, match=message):
        make(image, tag)
