"""Devices that are no specification: what people report of the field."""

from dataclasses import replace

import pytest

from fieldbus.image.image import Channel, ProcessImage
from fieldbus.modbus.address import ModbusAddress
from fieldbus.modbus.link import ModbusLink, Tcp
from fieldbus.modbus.plan import Options
from fieldbus.tags import Quality, Tag
from tests.fieldbus.modbus.odd_device import Odd
from tests.fieldbus.waiting import wait_for

BIT = Tag("warning", "bool", "out", address=ModbusAddress("holding", 4, bit=0))
X = Tag("x", "uint16", "in", address=ModbusAddress("holding", 10))


def linked(device: Odd, tags: list[Tag], options: Options | None = None) -> tuple[ModbusLink, Channel | None]:
    """A link to it, not started, and what it reads."""
    link = ModbusLink("plc", tags, Tcp("127.0.0.1", device.port), 0.005, 1.0, options=options, backoff_s=(0.01, 0.05))
    names = [tag.name for tag in tags if tag.direction == "in"]
    return link, link.subscribe(ProcessImage(), names, "test") if names else None


@pytest.mark.parametrize("options", [Options(), Options(mask_writes=True), Options(read_write=True)])
def test_the_other_bits_of_a_control_word_are_left_alone(options: Options) -> None:
    """Bit 0 of register 4 is ours: what the device does to the others stays, while we run and after the safe value."""
    with Odd(registers={4: 0xA002}) as device:
        link, _ = linked(device, [X, BIT], options)
        warning = link.drive(ProcessImage(), ["warning"], "test")
        with link:
            wait_for(lambda: warning.write([1.0]) is None and device.registers[4] == 0xA003)
            device.registers[4] = 0x5555
            wait_for(lambda: warning.write([0.0]) is None and device.registers[4] == 0x5554)
            wait_for(lambda: warning.write([1.0]) is None and device.registers[4] == 0x5555)
        assert device.registers[4] == 0x5554


def test_a_word_that_cannot_be_read_is_not_written() -> None:
    """Its other bits are not known: nothing is written, the other outputs are, and the message says which keys there are."""
    with Odd(registers={4: 0xA002}, hidden=(4,)) as device:
        link, _ = linked(device, [X, BIT, Tag("speed", "uint16", "out", safe=7, address=ModbusAddress("holding", 5))])
        with link:
            wait_for(lambda: device.registers.get(5) == 7)
            wait_for(lambda: "unit 1 FC 3, holding 4" in link.status().last_error)
            assert "mask_writes = true" in link.status().last_error
            assert 'other_bits = "zero"' in link.status().last_error
            safe = link.stop()
        assert device.registers[4] == 0xA002
        assert not safe


def test_bits_become_zero_where_that_is_wanted() -> None:
    """`keep_bits=False`: a register that cannot be read is written."""
    with Odd(registers={4: 0xA002}, hidden=(4,)) as device:
        link, _ = linked(device, [X, replace(BIT, safe=1.0)], Options(keep_bits=False))
        with link:
            wait_for(lambda: device.registers[4] == 1)


@pytest.mark.parametrize(("key", "function"), [("read_write", 23), ("mask_writes", 22)])
def test_a_function_code_that_the_device_lacks_is_told_with_its_key(key: str, function: int) -> None:
    """Exception 1: the message says what to write."""
    with Odd(lacks=(function,)) as device:
        link, _ = linked(device, [X, BIT], Options(**{key: True}))  # type: ignore[arg-type]
        with link:
            wait_for(lambda: f"the device lacks function code {function}: set " in link.status().last_error)


def test_the_words_that_are_kept_are_no_tags() -> None:
    """Who looks at the link's tags sees those of its file."""
    with Odd() as device:
        link, channel = linked(device, [X, BIT])
        assert link.tags == (X, BIT)
        with link:
            assert channel is not None
            wait_for(lambda: channel.read().quality is Quality.GOOD)
