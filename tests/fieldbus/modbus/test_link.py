"""The Modbus link against servers that are not ours: pymodbus, modbus-tk, libmodbus; TCP, RTU and TLS."""

import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from pymodbus.client import ModbusTcpClient

from fieldbus.image.image import ProcessImage
from fieldbus.modbus.address import ModbusAddress
from fieldbus.modbus.link import ModbusLink, Rtu, Tcp, Tls
from fieldbus.modbus.requests import ReadWrite
from fieldbus.tags import TYPES, Order, Quality, Tag
from tests.fieldbus.modbus import modbus_peers
from tests.terminals import joined_terminals
from tests.waiting import free_port, wait_for

Server = Callable[[], AbstractContextManager[int]]
SERVERS = {
    "pymodbus": modbus_peers.pymodbus,
    "modbus-tk": modbus_peers.modbus_tk,
    "libmodbus": modbus_peers.libmodbus,
}


@pytest.fixture(scope="module", params=[pytest.param(n, marks=pytest.mark.peer) for n in SERVERS])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """The port of each server in turn."""
    with SERVERS[request.param]() as where:
        yield where


def a_tag_of_each_type(direction: str, address: int) -> list[Tag]:
    """Every type in every order, two elements each, one after the other."""
    tags = []
    for name, number in TYPES.items():
        for order in Order:
            at = ModbusAddress("holding", address, order)
            tags.append(Tag(f"{direction}-{name}-{order}", name, direction, count=2, address=at))  # type: ignore[arg-type]
            address += 2 * max(1, number.nbytes // 2)
    return tags


def test_every_type_in_every_order_comes_back(port: int) -> None:
    """What one link writes, another reads: more registers than one request carries, all types, all orders."""
    image = ProcessImage()
    written, read = a_tag_of_each_type("out", 200), a_tag_of_each_type("in", 200)
    writer = ModbusLink("w", written, Tcp("127.0.0.1", port), 0.02, 5.0)
    reader = ModbusLink("r", read, Tcp("127.0.0.1", port), 0.02, 5.0)
    outputs = writer.drive(image, [t.name for t in written], "test")
    inputs = reader.subscribe(image, [t.name for t in read], "test")
    assert len(reader.requests) > 1
    values = np.array([v for t in written for v in ((1.0, 0.0) if t.type == "bool" else (t.number.low // 2, 100.0))])
    values = np.clip(values, -(2.0**52), 2.0**52)
    with writer, reader:
        wait_for(lambda: outputs.write(values) is None and inputs.read().values.tolist() == values.tolist())


@pytest.mark.parametrize("order", Order)
def test_the_device_sees_the_bytes_of_the_order(port: int, order: Order) -> None:
    """An independent client reads the two registers of 12.5: 0x4148 0x0000 in the stated order."""
    image = ProcessImage()
    link = ModbusLink(
        "w", [Tag("x", "float32", "out", address=ModbusAddress("holding", 8, order))], Tcp("127.0.0.1", port)
    )
    x = link.drive(image, ["x"], "test")
    expected = {"ABCD": "41480000", "CDAB": "00004148", "BADC": "48410000", "DCBA": "00004841"}[order]
    other = ModbusTcpClient("127.0.0.1", port=port)

    def seen() -> str:
        return struct.pack(">2H", *other.read_holding_registers(8, count=2, device_id=1).registers).hex()

    with link, other:
        wait_for(lambda: x.write([12.5]) is None and seen() == expected)


def test_all_four_tables_are_read(port: int) -> None:
    """FC 1, 2, 3 and 4: input register n holds n, discrete input n is on for multiples of 3."""
    tags = [
        Tag("discrete", "bool", "in", count=10, address=ModbusAddress("discrete", 30)),
        Tag("input", "uint16", "in", count=130, address=ModbusAddress("input", 7)),
        Tag("coil", "bool", "in", count=3, address=ModbusAddress("coil", 1997)),
        Tag("holding", "int16", "in", address=ModbusAddress("holding", 1999)),
        Tag("bit", "bool", "in", address=ModbusAddress("input", 1024, bit=10)),
    ]
    image = ProcessImage()
    link = ModbusLink("r", tags, Tcp("127.0.0.1", port))
    channel = link.subscribe(image, [t.name for t in tags], "test")
    with link:
        wait_for(lambda: channel.read().quality is Quality.GOOD)
    values = channel.read().values
    assert values[:10].tolist() == [float(n % 3 == 0) for n in range(30, 40)]
    assert values[10:140].tolist() == list(range(7, 137))
    assert values[channel.index("bit")] == 1.0
    assert {r.function for r in link.requests} == {1, 2, 3, 4}


@pytest.mark.parametrize("single", [True, False])
def test_coils_and_registers_are_written(port: int, single: bool) -> None:
    """FC 5 and 6 for lone ones, 15 and 16 for several or when asked for; FC 3 before the word with the flag."""
    tags = [
        Tag("coil", "bool", "out", address=ModbusAddress("coil", 5)),
        Tag("coils", "bool", "out", count=11, address=ModbusAddress("coil", 20)),
        Tag("one", "int16", "out", address=ModbusAddress("holding", 5)),
        Tag("flag", "bool", "out", address=ModbusAddress("holding", 9, bit=3)),
        Tag("many", "int16", "out", count=3, address=ModbusAddress("holding", 12)),
    ]
    image = ProcessImage()
    link = ModbusLink("w", tags, Tcp("127.0.0.1", port), single_writes=single)
    channel = link.drive(image, [t.name for t in tags], "test")
    assert {r.function for r in link.requests} == ({3, 5, 15, 6, 16} if single else {3, 15, 16})
    bits = [True] + [n % 2 == 0 for n in range(11)]
    other = ModbusTcpClient("127.0.0.1", port=port)

    def seen() -> list[object]:
        coils = other.read_coils(5, count=1, device_id=1).bits[:1] + other.read_coils(20, count=11, device_id=1).bits
        registers = other.read_holding_registers(5, count=10, device_id=1).registers
        return [coils[:12], registers[0], registers[4], registers[7:]]

    expected = [bits, 0xFFFE, 8, [1, 2, 0xFFFD]]
    with link, other:
        wait_for(lambda: channel.write([*bits, -2, 1, 1, 2, -3]) is None and seen() == expected, what=str(expected))


def test_one_round_trip_writes_and_reads(port: int) -> None:
    """Function code 23 writes first: reading the registers that it writes gives what was written."""
    tags = [
        Tag("u", "float32", "out", count=2, address=ModbusAddress("holding", 100)),
        Tag("x", "float32", "in", count=2, address=ModbusAddress("holding", 100)),
    ]
    image = ProcessImage()
    link = ModbusLink("rw", tags, Tcp("127.0.0.1", port), 0.002, 5.0, read_write=True)
    u, x = link.drive(image, ["u"], "test"), link.subscribe(image, ["x"], "test")
    assert [type(r) for r in link.requests] == [ReadWrite]
    with link:
        wait_for(lambda: u.write([1.5, -2.5]) is None and x.read().values.tolist() == [1.5, -2.5])
        status = link.status()
        assert status.errors == 0
        assert 0 < status.round_trip.percentile(50) < 1e9


def test_an_address_that_the_device_lacks_is_a_refusal(port: int) -> None:
    """Exception 2, with unit, function code and range in the message; the connection stays."""
    tag = Tag("x", "int16", "in", address=ModbusAddress("holding", 5000))
    with ModbusLink("r", [tag], Tcp("127.0.0.1", port), timeout_s=10.0) as link:
        wait_for(lambda: link.status().state == "degraded")
        assert "unit 1 FC 3, holding 5000 (x): exception 2, illegal data address" in link.status().last_error
        assert link.status().reconnects == 0


@pytest.mark.peer
def test_a_frozen_server_is_bad_within_the_timeout() -> None:
    """A stopped process keeps its sockets open and is silent: BAD, and GOOD again when it goes on."""
    where, image = free_port(), ProcessImage()
    link = ModbusLink(
        "r", [Tag("x", "int16", "in", address=ModbusAddress("input", 3))], Tcp("127.0.0.1", where), 0.01, 0.2
    )
    x = link.subscribe(image, ["x"], "test")
    with modbus_peers.process(modbus_peers.libmodbus_program(), "tcp", str(where)) as server, link:
        wait_for(lambda: x.read().quality is Quality.GOOD)
        with modbus_peers.frozen(server):
            wait_for(lambda: x.read().quality is Quality.BAD)
            wait_for(lambda: "no answer in time" in link.status().last_error)
        wait_for(lambda: x.read().quality is Quality.GOOD)


# --- RTU ------------------------------------------------------------------------------------------------------------

RTU_TAGS = [
    Tag("x", "float32", "in", address=ModbusAddress("holding", 100, Order.CDAB)),
    Tag("n", "uint16", "in", count=5, address=ModbusAddress("input", 40)),
    Tag("u", "float32", "out", safe=-1.0, address=ModbusAddress("holding", 100, Order.CDAB)),
    Tag("c", "bool", "out", address=ModbusAddress("coil", 3)),
]


@pytest.mark.peer
@pytest.mark.parametrize("server", ["libmodbus", "pymodbus"])
def test_a_serial_line_carries_values_both_ways(server: str) -> None:
    """RTU over a pseudo-terminal pair: what is written comes back, and `stop` leaves the safe value."""
    image = ProcessImage()
    with joined_terminals() as (master, device):
        line = Rtu(master, parity="N", answer_s=1.0)
        link = ModbusLink("line", RTU_TAGS, line, 0.02, 5.0)
        inputs, outputs = link.subscribe(image, ["x", "n"], "t"), link.drive(image, ["u", "c"], "t")
        program = modbus_peers.libmodbus_program() if server == "libmodbus" else None
        start = modbus_peers.process(program, "rtu", device) if program else modbus_peers.pymodbus("rtu", device)
        expected = [0.75, 40.0, 41.0, 42.0, 43.0, 44.0]
        with start, link:  # type: ignore[attr-defined]
            wait_for(lambda: outputs.write([0.75, 1.0]) is None and inputs.read().values.tolist() == expected)
            assert link.stop() is True
            check = ModbusLink("check", RTU_TAGS[:1], line)
            left = check.subscribe(image, ["x"], "t")
            with check:
                wait_for(lambda: left.read().values[0] == -1.0)


@pytest.mark.peer
def test_a_lost_frame_on_a_serial_line_is_stale_and_asked_again() -> None:
    """A device that is slow for a moment: STALE, degraded, no reconnect; then GOOD."""
    image = ProcessImage()
    with joined_terminals() as (master, device):
        link = ModbusLink("line", RTU_TAGS[:2], Rtu(master, parity="N", answer_s=0.05), 0.01, 5.0)
        inputs = link.subscribe(image, ["n"], "t")
        with modbus_peers.process(modbus_peers.libmodbus_program(), "rtu", device) as server, link:
            wait_for(lambda: inputs.read().quality is Quality.GOOD)
            with modbus_peers.frozen(server):
                wait_for(lambda: link.status().state == "degraded" and inputs.read().quality is Quality.STALE)
            wait_for(lambda: link.status().state == "up" and inputs.read().quality is Quality.GOOD)
            assert link.status().reconnects == 0
            assert inputs.read().values.tolist() == [40.0, 41.0, 42.0, 43.0, 44.0]


def test_a_serial_port_that_does_not_exist(tmp_path: Path) -> None:
    """Down, with the port in the reason."""
    link = ModbusLink("line", RTU_TAGS, Rtu(str(tmp_path / "tty")))
    with link:
        wait_for(lambda: link.status().state == "down")
        assert f"cannot open the serial port {tmp_path}/tty" in link.status().last_error


# --- TLS ------------------------------------------------------------------------------------------------------------


@pytest.mark.peer
def test_tls_carries_values_and_checks_who_answers(tmp_path: Path) -> None:
    """With the right authority and name it is up; with another name, or an unknown authority, it refuses to talk."""
    certificate, key = modbus_peers.certificates(tmp_path, "plc.example")
    tags = [Tag("n", "uint16", "in", count=3, address=ModbusAddress("input", 40))]
    with modbus_peers.pymodbus("tls", "", certificate, key) as port:
        image = ProcessImage()
        good = ModbusLink("good", tags, Tls("127.0.0.1", port, ca=certificate, server_name="plc.example"))
        n = good.subscribe(image, ["n"], "t")
        with good:
            wait_for(lambda: n.read().values.tolist() == [40.0, 41.0, 42.0])
        for server_name, ca, why in (
            ("other.example", certificate, "Hostname mismatch"),
            ("plc.example", None, "self-signed certificate"),
        ):
            link = ModbusLink("bad", tags, Tls("127.0.0.1", port, ca=ca, server_name=server_name))
            with link:
                wait_for(lambda link=link: link.status().state == "down")  # type: ignore[misc]
                assert "cannot connect" in link.status().last_error
                assert why in link.status().last_error
