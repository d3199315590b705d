"""A gateway with many units behind it, some of which do not answer: one connection, and the others go on."""

import socket
import struct
import time
from collections.abc import Iterator

import pytest

from fieldbus.image.image import ProcessImage
from fieldbus.modbus.address import ModbusAddress
from fieldbus.modbus.link import ModbusLink, Tcp
from fieldbus.tags import Quality, Tag
from tests.devices import TcpDevice
from tests.waiting import is_once, wait_for

LIVE = 9
TIMEOUT_S = 0.6


class Gateway:
    """Unit 9 has registers; all others are silent."""

    def __init__(self) -> None:
        self.registers: dict[int, int] = {}
        self._device = TcpDevice(self._serve)
        self.port, self.close = self._device.port, self._device.close

    @property
    def connections(self) -> int:
        """How many there were."""
        return self._device.connections

    def _serve(self, sock: socket.socket) -> None:
        stream = sock.makefile("rb")
        while head := stream.read(7):
            number, _, length, unit = struct.unpack(">HHHB", head)
            pdu = stream.read(length - 1)
            if unit != LIVE:
                continue
            address, value = struct.unpack(">HH", pdu[1:5])
            answer = pdu
            if pdu[0] == 6:
                self.registers[address] = value
            else:
                answer = bytes([pdu[0], 2 * value]) + bytes(2 * value - 2) + b"\0\x2a"
            sock.sendall(struct.pack(">HHHB", number, 0, len(answer) + 1, unit) + answer)


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """One that listens."""
    made = Gateway()
    yield made
    made.close()


def tag(name: str, direction: str, unit: int, address: int = 0) -> Tag:
    """A register."""
    return Tag(name, "uint16", direction, address=ModbusAddress("holding", address, unit=unit))  # type: ignore[arg-type]


def link_to(gateway: Gateway, tags: list[Tag]) -> ModbusLink:
    """With few seconds' patience."""
    return ModbusLink("gateway", tags, Tcp("127.0.0.1", gateway.port), cycle_s=0.02, timeout_s=TIMEOUT_S)


@pytest.mark.parametrize("is_last", [False, True])
def test_units_that_are_gone_do_not_make_another_bad(gateway: Gateway, is_last: bool) -> None:
    """Six silent units, before or after the live one: its input becomes and stays GOOD, on one connection."""
    gone = [tag(f"gone {unit}", "in", unit) for unit in range(1, 7)]
    live = tag("live", "in", LIVE)
    link = link_to(gateway, [*gone, live] if is_last else [live, *gone])
    channel = link.subscribe(ProcessImage(), ["live"], reader="test")

    def stays() -> bool:
        wait_for(lambda: channel.read().quality is Quality.GOOD)
        seen = [link.status().state]
        connections, until = gateway.connections, time.monotonic() + 4 * TIMEOUT_S
        while time.monotonic() < until:
            seen.append(link.status().state)
            assert channel.read().values[0] == 42.0
            time.sleep(0.01)
        return "down" not in seen and gateway.connections == connections

    with link:
        assert is_once(stays)
        wait_for(lambda: channel.read().quality is Quality.GOOD)


def test_safe_values_reach_a_unit_behind_others_that_are_gone(gateway: Gateway) -> None:
    """Five silent units are written before it, each of which would be waited for: it gets its safe value all the same."""
    gone = [tag(f"gone {unit}", "out", unit) for unit in range(1, 6)]
    link = link_to(gateway, [*gone, tag("valve", "out", LIVE, 7)])
    channel = link.drive(ProcessImage(), ["valve"], writer="test")
    link.start()

    def is_open() -> bool:
        channel.write([77.0])
        return gateway.registers.get(7) == 77

    wait_for(is_open)
    assert not link.stop()
    wait_for(lambda: gateway.registers[7] == 0)
