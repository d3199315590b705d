"""The server over TCP: streams, hostile clients, limits, slow models, clients that we did not write."""

import socket
import struct
import threading
import time
from contextlib import closing

import pytest
from pymodbus.client import ModbusTcpClient

from plc_bindings.calls.predict import Predictor
from plc_bindings.modbus import mbap
from plc_bindings.modbus.options import ModbusOptions, Tcp
from plc_bindings.modbus.stream import TURN
from plc_bindings.security.access import Access, Limits
from tests import need
from tests.loops import pass_time
from tests.plc_bindings.modbus.plant import serving
from tests.waiting import wait_for

READ = bytes.fromhex("03 001a 0002")
FORCE = bytes.fromhex("03 04 40 20 00 00")


class Wire:
    """A client that sends what it likes."""

    def __init__(self, server, timeout=60.0):
        self.socket = socket.create_connection(server.address, timeout=timeout)

    def close(self):
        self.socket.close()

    def send(self, *pdus, unit=1):
        self.socket.sendall(b"".join(mbap.frame(i, unit, pdu) for i, pdu in enumerate(pdus)))

    def bytes(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise ConnectionError(f"closed after {data.hex()}")
            data += more
        return data

    def answer(self):
        head = self.bytes(7)
        return int.from_bytes(head[:2], "big"), self.bytes(int.from_bytes(head[4:6], "big") - 1)

    def is_closed(self):
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True


@pytest.fixture
def server(plant):
    with serving(plant) as server:
        yield server


@pytest.fixture
def wire(server):
    with closing(Wire(server)) as wire:
        yield wire


# --- streams ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("count", [1, 2, TURN, TURN + 1, 500])
def test_requests_in_one_segment_are_all_answered_in_order(wire, count):
    wire.send(*[READ] * count)
    assert [wire.answer() for _ in range(count)] == [(i, FORCE) for i in range(count)]


def test_byte_by_byte(wire):
    for byte in mbap.frame(7, 1, READ) * 2:
        wire.socket.sendall(bytes((byte,)))
    assert [wire.answer() for _ in range(2)] == [(7, FORCE)] * 2


def test_another_protocol_is_skipped_and_the_next_request_answered(wire):
    foreign = bytearray(mbap.frame(1, 1, READ))
    foreign[3] = 1
    wire.socket.sendall(bytes(foreign) + mbap.frame(2, 1, READ))
    assert wire.answer() == (2, FORCE)


@pytest.mark.parametrize("length", [0, 1, 255, 300, 0xFFFF])
def test_a_length_that_no_frame_has_ends_that_connection_alone(plant, length):
    """What was asked before is answered; the reason is in the audit log."""
    audit = []
    access = Access(audit=lambda *line: audit.append(line))
    with serving(plant, access=access) as server, closing(Wire(server)) as bad, closing(Wire(server)) as good:
        bad.socket.sendall(mbap.frame(1, 1, READ) + struct.pack(">HHH", 2, 0, length))
        assert bad.answer() == (1, FORCE)
        assert bad.is_closed()
        assert audit == [("127.0.0.1", "frame", f"closed: length {length}")]
        good.send(READ)
        assert good.answer() == (0, FORCE)


@pytest.mark.parametrize(
    ("unit", "answer"), [(0, FORCE), (1, FORCE), (255, FORCE), (2, b"\x83\x0b"), (247, b"\x83\x0b")]
)
def test_units(wire, unit, answer):
    """A unit that is not there is refused as by a gateway: 0x0B."""
    wire.send(READ, unit=unit)
    assert wire.answer() == (0, answer)


def test_a_client_that_sends_no_more_gets_all_its_answers(wire):
    wire.send(*[READ] * 100)
    wire.socket.shutdown(socket.SHUT_WR)
    assert [wire.answer()[0] for _ in range(100)] == list(range(100))
    assert wire.is_closed()


# --- limits -----------------------------------------------------------------------------------------------------------
def test_more_connections_than_allowed_are_closed_and_a_free_place_is_given_again(plant):
    with serving(plant, access=Access(limits=Limits(connections=2))) as server:
        first, second, third = (Wire(server) for _ in range(3))
        assert third.is_closed()
        first.close()
        wait_for(lambda: server.access.clients == 1)
        with closing(Wire(server)) as fourth, closing(second):
            fourth.send(READ)
            assert fourth.answer() == (0, FORCE)


def test_an_address_that_is_not_allowed_gets_nothing(plant):
    with serving(plant, access=Access(networks=["192.0.2.0/24"])) as server, closing(Wire(server)) as wire:
        assert wire.is_closed()


def test_too_many_requests_are_busy(plant):
    with serving(plant, access=Access(limits=Limits(requests_per_second=10))) as server, closing(Wire(server)) as wire:
        wire.send(*[READ] * 30)
        answers = [wire.answer()[1] for _ in range(30)]
        assert answers[:10] == [FORCE] * 10
        assert answers.count(b"\x83\x06") >= 5, "some places become free while it asks"


def test_a_client_that_never_reads_is_dropped_and_others_are_served(plant):
    """It is not read any more when its answers pile up, so nothing grows."""
    audit = []
    access = Access(limits=Limits(requests_per_second=10**6), audit=lambda *line: audit.append(line))
    options = ModbusOptions(Tcp(port=0), stuck_s=0.3)
    with serving(plant, options, access) as server, closing(Wire(server)) as deaf, closing(Wire(server)) as good:
        deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.socket.settimeout(0.2)
        large = bytes.fromhex("03 0000 0022")
        flood = b"".join([mbap.frame(0, 1, large)] * 100)
        with pytest.raises(OSError, match=r"timed out|reset|pipe"):  # buffers are full, or it is dropped already
            deaf.socket.sendall(flood * 10_000)
        good.send(READ)
        assert good.answer() == (0, FORCE)
        wait_for(lambda: server.access.clients == 1)
        assert ("127.0.0.1", "connection", "closed: fetches no answers") in audit
        good.send(READ)
        assert good.answer() == (0, FORCE)


def test_an_idle_connection_is_closed(plant):
    options = ModbusOptions(Tcp(port=0), idle_s=1000.0, stuck_s=1e9)
    with serving(plant, options) as server, closing(Wire(server)) as wire:
        wire.send(READ)
        assert wire.answer() == (0, FORCE)
        (connection,) = server.connections
        pass_time(connection._loop, 1100)
        assert wire.is_closed()


def test_clients_that_vanish_leave_nothing(plant):
    access = Access(limits=Limits(connections=99, connections_per_address=99))
    with serving(plant, access=access) as server:
        for _ in range(40):
            wire = Wire(server)
            wire.socket.sendall(mbap.frame(0, 1, READ)[:9])
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            wire.close()
        with closing(Wire(server)) as last:  # let in behind them
            last.send(READ)
            assert last.answer() == (0, FORCE)
        wait_for(lambda: not server.connections and not access.clients)


# --- slow models ------------------------------------------------------------------------------------------------------
@pytest.fixture
def gate(monkeypatch):
    """Calls of models wait for it."""
    gate, call = threading.Event(), Predictor.call

    def slow(self, model, payload):
        assert gate.wait(10)
        return call(self, model, payload)

    monkeypatch.setattr(Predictor, "call", slow)
    yield gate
    gate.set()


def exchange(plant, value=0.5):
    block = plant.map.blocks[0]
    data = struct.pack(">f", value) * 7
    return struct.pack(">BHHHHB", 23, block.result, 6, block.inputs, 14, 28) + data


def test_a_slow_model_keeps_only_its_own_client_waiting(plant, server, gate):
    """And that one's answers stay in order."""
    with closing(Wire(server)) as slow, closing(Wire(server)) as other:
        slow.send(READ, exchange(plant), READ, exchange(plant, -0.5), READ)
        assert slow.answer() == (0, FORCE)
        other.send(*[READ] * 3)
        assert [other.answer() for _ in range(3)] == [(i, FORCE) for i in range(3)]
        gate.set()
        answers = [slow.answer() for _ in range(4)]
        assert [number for number, _ in answers] == [1, 2, 3, 4]
        assert [answer[0] for _, answer in answers] == [23, 3, 23, 3]
        assert answers[0][1] != answers[2][1]


def test_requests_that_pile_up_behind_a_slow_model_are_not_read(plant, server, gate):
    with closing(Wire(server)) as slow:
        slow.send(exchange(plant), *[READ] * 20_000)
        wait_for(lambda: any(not c._transport.is_reading() for c in server.connections))
        gate.set()
        assert slow.answer()[1][0] == 23
        assert slow.answer() == (1, FORCE)


def test_a_client_that_goes_during_a_slow_call_harms_nobody(plant, server, gate):
    with closing(Wire(server)) as slow, closing(Wire(server)) as other:
        slow.send(exchange(plant))
        time.sleep(0.05)
        slow.close()
        gate.set()
        wait_for(lambda: server.access.clients == 1)
        other.send(READ)
        assert other.answer() == (0, FORCE)


# --- clients of others ------------------------------------------------------------------------------------------------
def test_pymodbus(plant, server):
    host, port = server.address
    with ModbusTcpClient(host, port=port) as client:
        client.write_registers(1, [0x3FC0, 0])
        assert client.convert_from_registers(
            client.read_holding_registers(1, count=2).registers, client.DATATYPE.FLOAT32
        )
        assert client.read_input_registers(1, count=2).registers == [0x3FC0, 0]
        client.write_coils(1, [True, False, True])
        assert client.read_coils(1, count=3).bits[:3] == [True, False, True]
        assert client.read_discrete_inputs(3, count=1).bits[0]
        client.write_coil(3, False)
        client.write_register(4, 0x1234)
        client.mask_write_register(address=4, and_mask=0xFF00, or_mask=0x56)
        assert client.read_holding_registers(4).registers == [0x1256]
        assert client.read_holding_registers(40, count=1).exception_code == 2
        assert client.read_holding_registers(4, device_id=9).exception_code == 11
        assert client.read_device_information(read_code=2).information[0] == b"rt-engine"
        block = plant.map.blocks[0]
        answer = client.readwrite_registers(
            read_address=block.result, read_count=6, write_address=block.inputs, values=[0x3F00, 0] * 7
        )
        assert answer.registers[:4] == [0, 0, 0, 1]
        assert struct.pack(">2H", *answer.registers[4:]) == direct(plant, 0.5)


def test_modbus_tk(plant, server):
    modbus_tcp = need.package("modbus_tk.modbus_tcp")
    from modbus_tk import defines
    from modbus_tk.modbus import ModbusError

    master = modbus_tcp.TcpMaster(*server.address)
    try:
        block = plant.map.blocks[0]
        got = master.execute(
            1,
            defines.READ_WRITE_MULTIPLE_REGISTERS,
            block.result,
            6,
            output_value=[0x3F00, 0] * 7,
            write_starting_address_fc23=block.inputs,
        )
        assert struct.pack(">2H", *got[4:]) == direct(plant, 0.5)
        assert master.execute(1, defines.READ_COILS, 11, 1) == (1,)
        master.execute(1, defines.WRITE_MULTIPLE_REGISTERS, 1, output_value=[0x3FC0, 0])
        assert master.execute(1, defines.READ_HOLDING_REGISTERS, 1, 2) == (0x3FC0, 0)
        with pytest.raises(ModbusError) as refused:
            master.execute(1, defines.READ_HOLDING_REGISTERS, 0, 126)
        assert refused.value.get_exception_code() == 3
    finally:
        master.close()


def direct(plant, value):
    context = plant.slots["policy"].model.context()
    next(iter(context.inputs.values())).reshape(-1)[:] = value
    context.run()
    return struct.pack(">f", float(next(iter(context.outputs.values())).reshape(-1)[0]))
