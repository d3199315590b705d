"""What can be read is found, in few questions, with the device's own limit; of devices that refuse, are silent, or give pairs."""

import random

import pytest

from fieldbus.errors import NoAnswerError
from fieldbus.modbus.scan.asking import READS
from fieldbus.modbus.scan.blocks import BUDGET, Table, points, reread, survey
from tests.fieldbus.modbus.scan.devices import Device, asker_of, words


def survey_of(device: Device, name: str = "holding", within: range = range(65536)) -> Table:
    """The table of unit 1, which is heard first, as a scan does."""
    asker = asker_of(device)
    return survey(asker, 1, name, within)


def ranges(table: Table) -> list[tuple[int, int]]:
    return [(block.start, block.end) for block in table.blocks]


def test_blocks_are_found_whole_with_their_values():
    """At the beginning, in the middle of nowhere near a round number, at the end; and the words behind a hole."""
    registers = {**words(0, 10), **words(12, 4), **words(1990, 40), **words(40000, 70), 65535: 65535}
    table = survey_of(Device({1: {"holding": registers}}))
    assert ranges(table) == [(0, 10), (12, 16), (1990, 2030), (40000, 40070), (65535, 65536)]
    assert {b.start + n: v for b in table.blocks for n, v in enumerate(b.values)} == registers
    assert (table.count, table.most, table.is_limited, table.cut) == (125, 125, False, "")


@pytest.mark.parametrize("most", [1, 2, 7, 16, 20, 64, 100, 124])
def test_the_devices_own_limit_is_learned(most):
    """From refusals of what can be read in parts; the blocks are whole nevertheless."""
    table = survey_of(Device({1: {"holding": words(30, 300)}}, most=most))
    assert ranges(table) == [(30, 330)]
    assert (table.most, table.is_limited) == (most, True)


def test_a_limit_is_learned_of_a_block_that_is_hardly_longer():
    """60 registers, at most 20 a request: no step beyond 20 lies inside by itself."""
    table = survey_of(Device({1: {"holding": words(30, 60)}}, most=20))
    assert (ranges(table), table.most) == ([(30, 90)], 20)


def test_an_end_is_no_limit():
    """A block of ten: what is refused behind it says nothing of how long a request may be."""
    table = survey_of(Device({1: {"holding": words(100, 10)}}))
    assert (table.most, table.is_limited) == (125, False)


@pytest.mark.parametrize("name", ["coil", "discrete"])
def test_bits(name):
    """Bits in the order of their addresses; the limit is one of bits."""
    bits = {a: a % 3 == 0 for a in range(64, 1064)}
    table = survey_of(Device({1: {name: bits}}, most_bits=256), name)
    assert ranges(table) == [(64, 1064)]
    assert table.blocks[0].values == tuple(int(b) for b in bits.values())
    assert (table.most, table.is_limited) == (256, True)


def test_a_device_that_gives_values_whole_only():
    """Floats of two registers: half of one is refused, and so is what begins in the midst of one."""
    table = survey_of(Device({1: {"input": words(300, 46)}}, pairs=("input",)), "input")
    assert ranges(table) == [(300, 346)]


def test_a_device_that_is_silent_where_it_should_refuse():
    """Silence at a wrong address is taken for a refusal, since the device answers elsewhere."""
    device = Device({1: {"holding": words(0, 30)}}, silent_at=(2,))
    assert ranges(survey_of(device)) == [(0, 30)]


def test_a_device_that_is_gone_is_no_refusal():
    """It answered, and does not any more, also when it is connected anew: an error, and no border."""
    device = Device({1: {"holding": words(0, 65536)}})
    asker = asker_of(device)

    def tell(text: str) -> None:
        if len(device.asked) > 40:
            device.units = {}

    with pytest.raises(NoAnswerError):
        survey(asker, 1, "holding", range(65536), tell)


@pytest.mark.parametrize(("silent", "why"), [((), "the device does not have it"), ((1,), "silent")])
def test_a_table_that_is_not_there_takes_few_questions(silent, why):
    """Refused with "illegal function", or silent: a dozen questions at most, and it is said."""
    device = Device({1: {"holding": words(0, 1)}}, silent_at=silent)
    asker = asker_of(device)
    asker.ask(1, 3, b"\0\0\0\1")
    table = survey(asker, 1, "coil")
    assert (table.blocks, table.why) == ((), why)
    assert len([1 for _, function in device.asked if function == 1]) <= 16


def test_where_everything_can_be_read():
    """65,536 registers in little more than the 525 requests that they take."""
    device = Device({1: {"holding": words(0, 65536)}})
    table = survey_of(device)
    assert ranges(table) == [(0, 65536)]
    assert len(device.asked) < 600


def test_where_every_other_register_is_a_hole_the_search_ends():
    """The questions of a table are limited, and that is said."""
    device = Device({1: {"holding": {a: a for a in range(0, 65536, 2)}}})
    table = survey_of(device)
    assert table.cut == "too many holes"
    assert table.blocks
    assert len(device.asked) <= BUDGET


def test_ctrl_c_keeps_what_was_found():
    """The table as far as it is known."""
    device = Device({1: {"holding": words(0, 65536)}})

    def tell(text: str) -> None:
        if len(device.asked) == 50:
            raise KeyboardInterrupt

    table = survey(asker_of(device), 1, "holding", range(65536), tell)
    assert table.cut == "stopped"
    assert 0 < table.count < 65536


@pytest.mark.parametrize("seed", range(40))
def test_a_narrow_range_is_found_exactly(seed):
    """Whatever holes and limits: with each address of the range asked, nothing is missing and nothing made up."""
    random_ = random.Random(seed)
    registers = {
        a: random_.randrange(65536) for a in range(500, 620) if random_.random() < random_.choice((0.3, 0.9, 0.99))
    }
    device = Device(
        {1: {"holding": registers}},
        most=random_.choice((1, 3, 20, 125)),
        busy_every=random_.choice((0, 0, 7)),
        busy_code=11,
    )
    table = survey_of(device, within=range(500, 620))
    assert {b.start + n: v for b in table.blocks for n, v in enumerate(b.values)} == registers
    assert not table.is_limited or table.most >= min(device.most, 1)


def test_a_narrow_range_is_not_left():
    """With --addresses nothing outside is asked for."""
    device = Device({1: {"holding": words(0, 1000)}})
    assert ranges(survey_of(device, within=range(100, 150))) == [(100, 150)]


def test_nothing_is_ever_written():
    """Function codes that read, and no others."""
    device = Device({1: {name: dict.fromkeys(range(50), 1) for name in ("coil", "discrete", "holding", "input")}})
    for name in ("coil", "discrete", "holding", "input"):
        survey_of(device, name)
    assert {function for _, function in device.asked} <= READS


def test_reading_again_gives_what_is_there_now():
    """The same addresses, in requests as long as the device takes."""
    registers = words(0, 50)
    device = Device({1: {"holding": registers}}, most=20)
    table = survey_of(device)
    registers[7] = 4711
    device.asked.clear()
    assert reread(asker_of(device), 1, table).blocks[0].values[7] == 4711
    assert len(device.asked) == 3


def test_points_are_asked_in_the_order_of_their_likelihood():
    """Where devices have something first, then evenly; each inside of the range."""
    assert points(range(65536))[:3] == [0, 1, 2]
    assert set(points(range(200, 300))) <= set(range(200, 300))
    assert len(points(range(200, 300))) == 100
