"""The demo's plant as a process: Modbus as pymodbus' client sees it, commands on its input, faults."""

from __future__ import annotations

import json
import math
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusException

from station.demo.machine import COMMAND_ADDRESS, SENSOR_REGISTERS, SENSORS, Hold
from tests import ROOT
from tests.waiting import free_port, wait_for

FORCES = struct.unpack(">4H", struct.pack(">2f", 0.0, 0.0))


class PlantProcess:
    """A running plant."""

    def __init__(self) -> None:
        port = str(free_port())  # it has to get it again after a cut
        command = [sys.executable, "-m", "station.demo.plant", "--port", port]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.port = int(self._answer()["port"])

    def ask(self, line: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def client(self, timeout_s: float = 60.0) -> ModbusTcpClient:
        return ModbusTcpClient("127.0.0.1", port=self.port, timeout=timeout_s, retries=0)

    def close(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(60.0)


@pytest.fixture
def plant() -> Iterator[PlantProcess]:
    process = PlantProcess()
    yield process
    assert process.close() == 0


@pytest.fixture
def client(plant: PlantProcess) -> Iterator[ModbusTcpClient]:
    with plant.client() as client:
        yield client


def holds(client: ModbusTcpClient) -> tuple[int, ...]:
    return tuple(client.read_holding_registers(SENSOR_REGISTERS - 4, count=2, device_id=1).registers)


def test_function_codes_3_4_and_23_read_the_same_map(plant: PlantProcess, client: ModbusTcpClient) -> None:
    """All reading functions give the same 36 registers: held axes where the references begin, leaning in the cradle."""
    reads = [
        client.read_holding_registers(0, count=SENSOR_REGISTERS),
        client.read_input_registers(0, count=SENSOR_REGISTERS),
        client.readwrite_registers(
            read_address=0, read_count=SENSOR_REGISTERS, write_address=COMMAND_ADDRESS + 4, values=[0, 0]
        ),
    ]
    for read in reads:
        values = SENSORS.unpack(struct.pack(f">{SENSOR_REGISTERS}H", *read.registers))
        assert values[:4] == pytest.approx((0.0, 0.0, 0.02, 0.0))
        assert values[8:12] == pytest.approx((-0.1, 0.0, 0.02, 0.0))
        assert values[16:18] == (Hold.COMMUNICATION, Hold.COMMUNICATION)


def test_pymodbus_own_conversion_reads_the_values(client: ModbusTcpClient) -> None:
    """The word order is high word first: the client's own float conversion agrees."""
    registers = client.read_holding_registers(8, count=2).registers
    angle = client.read_holding_registers(4, count=2).registers
    kind = client.DATATYPE.FLOAT32
    assert client.convert_from_registers(angle, kind, word_order="big") == pytest.approx(0.02)
    assert client.convert_from_registers(registers, kind, word_order="big") == pytest.approx(0.0)


def test_writes_set_the_axes_free_and_silence_brakes_them(plant: PlantProcess, client: ModbusTcpClient) -> None:
    """Function code 16 to the commands releases both brakes; when it stops, the watchdog engages them."""

    def released() -> bool:
        assert not client.write_registers(COMMAND_ADDRESS, list(FORCES)).isError()
        return holds(client) == (Hold.NONE, Hold.NONE)

    wait_for(released)
    wait_for(lambda: holds(client) == (Hold.COMMUNICATION, Hold.COMMUNICATION))
    counted = plant.ask("status")["intervals"][0]["axes"]["x"]["holds"]
    assert set(counted) == {"communication"}


def test_one_exchange_with_function_code_23_serves_the_whole_machine(client: ModbusTcpClient) -> None:
    """Commands and score out, all sensors in, in one request; the motors follow the command."""
    values = list(struct.unpack(">6H", struct.pack(">3f", 3.0, -3.0, 0.5)))

    def forces() -> tuple[float, float]:
        read = client.readwrite_registers(
            read_address=0, read_count=SENSOR_REGISTERS, write_address=COMMAND_ADDRESS, values=values
        )
        state = SENSORS.unpack(struct.pack(f">{SENSOR_REGISTERS}H", *read.registers))
        return state[7], state[15]

    wait_for(lambda: forces() == pytest.approx((3.0, -3.0), rel=0.01))


@pytest.mark.parametrize(
    ("address", "values", "code"), [(0, [0, 0], 2), (35, [0, 0], 2), (36, [0], 3), (37, [0, 0], 3), (40, [0] * 4, 2)]
)
def test_refusals(client: ModbusTcpClient, address: int, values: list[int], code: int) -> None:
    """Sensors and what lies beyond the map are illegal addresses (2); half of a float is an illegal value (3)."""
    answer = client.write_registers(address, values)
    assert answer.isError()
    assert answer.exception_code == code


def test_a_read_beyond_the_map_is_refused(client: ModbusTcpClient) -> None:
    """Register 42 does not exist."""
    assert client.read_holding_registers(41, count=2).exception_code == 2


def test_the_machine_runs_in_real_time(plant: PlantProcess) -> None:
    """What the machine's clock lost is what it reports as slipped."""
    begin = time.monotonic()
    before, seen = plant.ask("status"), time.monotonic()
    time.sleep(0.3)
    asked = time.monotonic()
    after, end = plant.ask("status"), time.monotonic()
    passed = after["time_s"] - before["time_s"] + after["slipped_s"] - before["slipped_s"]
    assert asked - seen - 0.1 < passed < end - begin + 0.1
    assert after["time_s"] > before["time_s"]


def test_cut_drops_the_connection_and_refuses_new_ones_for_its_time(plant: PlantProcess) -> None:
    """A cut ends the connection and refuses others; the machine goes on; afterwards the same port answers again."""
    with plant.client() as client:
        assert not client.read_holding_registers(0, count=2).isError()
        before = plant.ask("status")["time_s"]
        begin = time.monotonic()
        assert plant.ask("cut 2")["event"] == "cut"
        again, is_over = plant.ask("cut 2"), time.monotonic() - begin > 2
        assert is_over or "cut already" in again["error"]
        with suppress(ModbusException):
            client.read_holding_registers(0, count=2)
            assert time.monotonic() - begin > 2
    assert not plant.client().connect() or time.monotonic() - begin > 2
    wait_for(lambda: plant.client().connect())
    assert time.monotonic() - begin > 1.9
    with plant.client() as client:
        assert not client.read_holding_registers(0, count=2).isError()
    status = plant.ask("status")
    assert status["cuts"] == 1 + ("event" in again)
    assert status["time_s"] > before


def test_mute_answers_nothing_for_its_time(plant: PlantProcess) -> None:
    """A muted plant keeps its connections and stays silent, as behind a pulled cable; afterwards it answers."""
    assert plant.ask("mute 2")["event"] == "mute"
    with plant.client(0.2) as client, pytest.raises(ModbusException):
        client.read_holding_registers(0, count=2)

    def answers() -> bool:
        try:
            with plant.client(0.2) as fresh:
                return not fresh.read_holding_registers(0, count=2).isError()
        except ModbusException:
            return False

    wait_for(answers)


def test_commands_answer_in_json(plant: PlantProcess) -> None:
    """Each command answers with one object; a wrong one says what is right, and the plant goes on."""
    assert plant.ask("mark second")["name"] == "start"
    assert [interval["name"] for interval in plant.ask("status")["intervals"]] == ["start", "second"]
    assert plant.ask("push x 5 0.2")["force_n"] == 5.0
    assert set(plant.ask("history")) == {"columns", "rows"}
    assert "status" in plant.ask("stop")["error"]
    assert "x, y" in plant.ask("push z 5 0.2")["error"]
    assert "cut" in plant.ask("cut")["error"]
    assert "not-a-number" in plant.ask("cut not-a-number")["error"]
    assert "finite" in plant.ask("push x nan 0.2")["error"]
    assert math.isfinite(plant.ask("status")["time_s"])


def test_a_taken_port_is_an_error_message(plant: PlantProcess) -> None:
    """A second plant on the same port ends with a message that names it."""
    command = [sys.executable, "-m", "station.demo.plant", "--port", str(plant.port)]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90)
    assert done.returncode == 1
    assert str(plant.port) in done.stderr
