"""Numbers that mean "not available", and limits of inputs: what reaches a task, with which quality."""

import math
import struct

import numpy as np
import pytest

from fieldbus.codec import Codec, Field
from fieldbus.errors import TagError
from fieldbus.image.image import ProcessImage
from fieldbus.inprocess import InProcessLink
from fieldbus.link.plausible import Plausible, not_available, plausible_range
from fieldbus.link.ports import Cells, Inputs
from fieldbus.plc import PlcLink
from fieldbus.tags import Quality, Tag
from tests.waiting import PATIENCE_S, wait_for

TEMP = Tag("temp", "int16", "in", "degC", scale=0.1, low=-40, high=120, not_available=(0x8000, 0x7FFF))
VOLT = Tag("volt", "uint16", "in", "V", scale=0.1, low=0, high=500)
FREE = Tag("free", "float32", "in")


def doubtful(tag: Tag, *values: float) -> list[bool]:
    found = Plausible([tag] * len(values)).doubtful(np.array(values))
    return [False] * len(values) if found is None else found.tolist()


@pytest.mark.parametrize(
    ("kind", "raw", "held"),
    [
        ("int16", 0x8000, -32768.0),
        ("int16", -32768, -32768.0),
        ("int16", 0x7FFF, 32767.0),
        ("uint16", 0xFFFF, 65535.0),
        ("int32", 0x80000000, -(2.0**31)),
        ("int64", 0xFFFF_FFFF_FFFF_FFFF, -1.0),
        ("uint64", 0xFFFF_FFFF_FFFF_FFFF, 2.0**64),
        ("float32", -9999.9, -9999.900390625),
        ("float64", -9999.9, -9999.9),
        ("float32", math.inf, math.inf),
    ],
)
def test_a_raw_number_is_meant_as_the_type_has_it(kind: str, raw: float, held: float) -> None:
    """0x8000 of an int16 is -32768; -9999.9 of a float32 is the nearest that there is."""
    assert Tag("x", kind, "in", not_available=(raw,)).unavailable == (held,)


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        (("int16", "in", 0x10000), "not_available 65536 is no number of int16"),
        (("int16", "in", -32769), "not_available -32769 is no number of int16"),
        (("uint16", "in", -1), "not_available -1 is no number of uint16"),
        (("uint16", "in", 0.5), "not_available 0.5 is no number of uint16"),
        (("float32", "in", 1e39), "is no number of float32"),
        (("bool", "in", 1), 'a bool has no numbers that mean "not available"'),
        (("int16", "out", 1), 'an output has no numbers that mean "not available"'),
    ],
)
def test_a_number_that_cannot_come_is_refused(tag: tuple[str, str, float], message: str) -> None:
    """`TagError` names the tag, the number and the type."""
    with pytest.raises(TagError, match=f"tag 'x': .*{message}"):
        Tag("x", tag[0], tag[1], not_available=(tag[2],))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32"])
@pytest.mark.parametrize(("scale", "offset"), [(1.0, 0.0), (0.1, 0.0), (-0.3, 17.7)])
def test_what_a_device_sends_is_recognised(kind: str, scale: float, offset: float) -> None:
    """Decoded and scaled, the number is still the one that means "not available"; its neighbours are values."""
    char = Tag("x", kind, "in").number.char
    top = -9999.9 if kind == "float32" else Tag("x", kind, "in").number.low or Tag("x", kind, "in").number.high
    tag = Tag("x", kind, "in", scale=scale, offset=offset, not_available=(top,))
    near = top * 1.01 if kind == "float32" else top + (2**40 if top < 0 else -(2**40)) if "64" in kind else abs(top) - 1
    values = np.zeros(2)
    payload = struct.pack(f">2{char}", *(n if kind == "float32" else int(n) for n in (min(top, tag.number.high), near)))
    codec = Codec([Field(tag, 0, 0, tag.number.nbytes, count=2)], len(payload))
    codec.decode(payload, values)
    assert doubtful(tag, *values) == [True, False]


def test_outside_of_the_limits_means_nothing() -> None:
    """Beyond low or high, infinite or NaN; the limits themselves, as a device holds them, are within."""
    assert doubtful(TEMP, -40.1, -40, 120, 120.1, math.inf, math.nan) == [True, False, False, True, True, True]
    assert doubtful(TEMP, 1200 * 0.1, 3 * 0.1, -3276.8, 3276.7) == [False, False, True, True]
    third = Tag("x", "float32", "in", low=0.1, high=0.7)
    held = [struct.unpack("f", struct.pack("f", limit))[0] for limit in (0.1, 0.7)]
    assert held[0] != 0.1
    assert doubtful(third, *held, 0.0999, 0.7001) == [False, False, True, True]


def test_a_tag_that_says_nothing_is_passed_on_as_it_came() -> None:
    """Without limits and numbers every value counts, NaN too: what a task does with it is its guard's matter."""
    assert doubtful(FREE, math.nan, math.inf, 1e38) == [False] * 3
    assert Plausible([FREE, FREE]).doubtful(np.array([math.nan, 1.0])) is None


def test_what_native_code_needs() -> None:
    """A range a little wider than written, and the values that mean nothing, in engineering units."""
    low, high = plausible_range(TEMP)
    assert -40.000001 < low < -40.0 < 120.0 < high < 120.000001
    assert not_available(TEMP) == (-32768 * 0.1, 32767 * 0.1)
    assert plausible_range(FREE) == (-math.inf, math.inf)


def test_the_channels_that_carry_it_are_bad_and_others_are_not() -> None:
    """The cell is NaN there; beside it the values are as they came; what is shown to people is what came."""
    inputs, image = Inputs(Cells("plc", [TEMP, VOLT, FREE])), ProcessImage()
    channels = []
    for names in (["temp", "free"], ["volt"], ["free"]):
        channels.append(image.channel("-".join(names), inputs.cells.select(names), writer="plc", reader="task"))
        inputs.add(channels[-1])
    inputs.incoming[:] = [-3276.8, 230.0, 5.0]
    assert inputs.accept(77) == 1
    inputs.publish(Quality.GOOD)
    both, volt, free = (channel.read() for channel in channels)
    assert [both.quality, volt.quality, free.quality] == [Quality.BAD, Quality.GOOD, Quality.GOOD]
    np.testing.assert_equal(both.values, [math.nan, 5.0])
    assert both.timestamp_ns == 77
    assert inputs.published[0].tolist() == [-3276.8, 230.0, 5.0]
    assert inputs.doubts() == "temp: not available (raw -32768)"
    inputs.incoming[:] = [20.0, 230.0, 5.0]
    assert inputs.accept(78) == 0
    inputs.publish(Quality.GOOD)
    assert (channels[0].read().quality, inputs.doubts()) == (Quality.GOOD, "")


def test_why_in_words() -> None:
    """Value, unit and limits; of many tags the first three."""
    plausible = Plausible([TEMP, VOLT, VOLT, Tag("n", "float32", "in", high=1), Tag("m", "float32", "in", high=1)])
    values = np.array([-41.0, 655.35, 655.35, math.nan, 2.0])
    assert plausible.words(values, plausible.doubtful(values)) == (
        "temp: -41 degC is not within -40 to 120; volt: 655.35 V is not within 0 to 500; "
        "n: not available (NaN); and 1 more"
    )


def test_a_cell_that_is_bad_for_others_reasons_is_theirs_to_tell() -> None:
    """An OPC UA server says of each value that it is bad: it is no limit that it is beyond, and it may have none."""
    plausible, values = Plausible([VOLT, FREE, TEMP]), np.array([400.0, 1.0, 700.0])
    assert plausible.words(values, np.array([True, True, True])) == "temp: 700 degC is not within -40 to 120"
    assert Plausible([FREE]).words(np.array([1.0]), np.array([True])) == ""


def test_a_link_counts_and_tells_it() -> None:
    """`implausible` counts values, `note` says which; the tag is BAD, the link stays up."""
    now = {"temp": 20.0, "volt": 230.0}
    link = InProcessLink("sim", [TEMP, VOLT], lambda _: now, 0.001, PATIENCE_S)
    channel = link.subscribe(ProcessImage(), ["temp"], "task")
    with link:
        wait_for(lambda: channel.read().quality is Quality.GOOD)
        assert (link.status().implausible, link.status().note) == (0, "")
        now["temp"] = 3276.7
        wait_for(lambda: channel.read().quality is Quality.BAD)
        wait_for(lambda: link.status().implausible > 3)
        assert link.status().note == "temp: not available (raw 32767)"
        assert link.status().state == "up"
        assert [value.quality for value in link.values()] == [Quality.BAD, Quality.GOOD]
        assert math.isnan(channel.read().values[0])
        now["temp"] = 20.0
        wait_for(lambda: channel.read().quality is Quality.GOOD)


def test_what_a_plc_writes_is_judged_too() -> None:
    """The channel is BAD; the client reads back what it wrote."""
    link = PlcLink("plc", [TEMP], PATIENCE_S)
    channel = link.subscribe(ProcessImage(), ["temp"], "task")
    link.start()
    link.write(np.array([500.0]), [0])
    assert channel.read().quality is Quality.BAD
    assert (link.inputs().tolist(), link.status().implausible) == ([500.0], 1)
    link.write(np.array([50.0]), [0])
    assert channel.read().quality is Quality.GOOD
    link.stop(safe=False)
