"""A PLC program, as an example: every 10 ms it reads a machine, asks the engine for the forces, and writes them.

    machine  <--Modbus TCP-->  this program  <--ADS or Modbus TCP-->  engine

It knows nothing of the engine but what `rt-engine symbols` lists, and needs only pyads or pymodbus:

    python plc_program.py ads --engine 127.0.0.2 --machine 127.0.0.1:5020
    python plc_program.py modbus --engine 127.0.0.1:5502 --machine 127.0.0.1:5020

It runs until SIGTERM or Ctrl-C, and then prints a histogram of its calls' round trips. `--calls FILE` keeps every call.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import signal
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

from pymodbus.client import ModbusTcpClient

CYCLE_NS = 10_000_000
PATIENCE_S = 15.0

# The machine: 16 floats from register 0 on, eight of each axis, the first seven of which the policy sees; two forces.
SENSOR_REGISTERS, FORCE_REGISTER = 32, 36
AXIS_VALUES, OBSERVED = 8, 7

# The engine, from `rt-engine symbols`: ADS group and offset, Modbus registers of the model's predict block.
PREDICT_GROUP, POLICY = 0x52540001, 1
PREDICT_REGISTER, INPUT_REGISTERS, RESULT_REGISTERS = 10_000, 14, 6
NO_CONNECTION = 207  # the status of a call without an answer


class Answer(NamedTuple):
    """Status 0 is good; `version` tells which model computed."""

    status: int
    version: int
    force: float


class Engine(Protocol):
    """One call of the policy: observation of an axis -> force, in one request."""

    def predict(self, observation: tuple[float, ...]) -> Answer:
        """Raises when the engine cannot be reached."""


class AdsEngine:
    """Over ADS, predict is one ReadWrite: packed inputs out, status, version and outputs back."""

    def __init__(self, address: str) -> None:
        import pyads

        self._plc = pyads.Connection(f"{address}.1.1", 851, address)
        self._plc.open()
        self._plc.read_state()  # raises, when nobody is there

    def predict(self, observation: tuple[float, ...]) -> Answer:
        """See `Engine`."""
        data = struct.pack("<7f", *observation)
        inputs = (ctypes.c_ubyte * len(data)).from_buffer_copy(data)
        answer = self._plc.read_write(
            PREDICT_GROUP, POLICY, ctypes.c_ubyte * 12, inputs, type(inputs), check_length=False
        )
        return Answer(*struct.unpack("<IIf", bytes(answer)))


class ModbusEngine:
    """Over Modbus, predict is one function code 23: write the inputs, read status, version and outputs of that call."""

    def __init__(self, address: str) -> None:
        self._client = connect(address)

    def predict(self, observation: tuple[float, ...]) -> Answer:
        """See `Engine`."""
        answer = self._client.readwrite_registers(
            write_address=PREDICT_REGISTER,
            values=to_registers(observation),
            read_address=PREDICT_REGISTER + INPUT_REGISTERS,
            read_count=RESULT_REGISTERS,
        )
        if answer.isError():
            raise OSError(f"the engine refuses the call: {answer}")
        return Answer(*struct.unpack(">IIf", struct.pack(">6H", *answer.registers)))


class Machine:
    """What a PLC has at its field bus: sensors in, forces out."""

    def __init__(self, address: str) -> None:
        self._client = connect(address)

    def read(self) -> list[tuple[float, ...]]:
        """What the policy sees of each axis."""
        answer = self._client.read_holding_registers(0, count=SENSOR_REGISTERS)
        if answer.isError():
            raise OSError(f"the machine refuses to be read: {answer}")
        values = struct.unpack(">16f", struct.pack(">32H", *answer.registers))
        return [values[first : first + OBSERVED] for first in (0, AXIS_VALUES)]

    def write(self, forces: list[float]) -> None:
        """Give each axis its force in N."""
        if self._client.write_registers(FORCE_REGISTER, to_registers(tuple(forces))).isError():
            raise OSError("the machine refuses the forces")


class Call(NamedTuple):
    """One call of the engine. `cycle` counts from 0; a number that is left out is a cycle that was missed."""

    cycle: int
    axis: int
    begun_ns: int
    took_ns: int
    status: int
    version: int


class Program:
    """The cyclic program. `open_all` connects to engine and machine, and raises when one is not there."""

    def __init__(self, open_all: Callable[[], tuple[Engine, Machine]]) -> None:
        self._open_all = open_all
        self._engine, self._machine = open_all()
        self.calls: list[Call] = []
        self.faults: list[str] = []
        self.is_stopping = False

    def run(self) -> None:
        """Until `is_stopping`. A cycle that comes too late is left out, never made up for."""
        begin_ns, cycle = time.monotonic_ns(), 0
        while not self.is_stopping:
            try:
                self.cycle(cycle)
            except Exception as error:  # somebody does not answer; the drives brake, and we connect anew
                self.faults.append(f"cycle {cycle}: {error}")
                with contextlib.suppress(Exception):
                    self._engine, self._machine = self._open_all()
            cycle = max(cycle + 1, (time.monotonic_ns() - begin_ns) // CYCLE_NS)
            time.sleep(max(begin_ns + cycle * CYCLE_NS - time.monotonic_ns(), 0) / 1e9)

    def cycle(self, number: int) -> None:
        """Read, ask, write. Without an answer there is no force, and the drives brake: that is the safe state."""
        forces = []
        for axis, observation in enumerate(self._machine.read()):
            begun_ns = time.monotonic_ns()
            try:
                answer = self._engine.predict(observation)
            except Exception:
                took_ns = time.monotonic_ns() - begun_ns
                self.calls.append(Call(number, axis, begun_ns, took_ns, NO_CONNECTION, 0))
                raise
            took_ns = time.monotonic_ns() - begun_ns
            self.calls.append(Call(number, axis, begun_ns, took_ns, answer.status, answer.version))
            if answer.status == 0:
                forces.append(answer.force)
        if len(forces) == 2:
            self._machine.write(forces)


def connect(address: str) -> ModbusTcpClient:
    """A connection to `HOST:PORT`."""
    host, _, port = address.partition(":")
    client = ModbusTcpClient(host, port=int(port), timeout=1, retries=0)
    if not client.connect():  # type: ignore[no-untyped-call]
        raise OSError(f"nobody answers at {address}")
    return client


def to_registers(values: tuple[float, ...]) -> list[int]:
    """Floats as pairs of registers, high word first."""
    return list(struct.unpack(f">{2 * len(values)}H", struct.pack(f">{len(values)}f", *values)))


def histogram(calls: list[Call]) -> str:
    """Round trips as text, one line for each half of an octave."""
    took_us = sorted(call.took_ns / 1e3 for call in calls)
    edges = [25 * 2 ** (i / 2) for i in range(30)]
    lines = []
    for low, high in zip([0.0, *edges], [*edges, float("inf")], strict=True):
        count = sum(low <= us < high for us in took_us)
        if count:
            bar = "#" * max(round(50 * count / len(took_us)), 1)
            lines.append(f"{low:8.0f} .. {high:6.0f} us {count:7} {bar}")
    shares = ", ".join(f"p{share:g} {took_us[int(len(took_us) * share / 100)]:.0f} us" for share in (50, 99, 99.9))
    return "\n".join([*lines, f"{len(calls)} calls: {shares}, longest {took_us[-1]:.0f} us"])


def main() -> None:
    """Connect, run, say how it went."""
    parser = argparse.ArgumentParser(description="A PLC program that calls the engine every 10 ms.")
    parser.add_argument("protocol", choices=("ads", "modbus"))
    parser.add_argument("--engine", required=True, help="HOST (ads) or HOST:PORT (modbus)")
    parser.add_argument("--machine", required=True, help="HOST:PORT")
    parser.add_argument("--calls", type=Path, help="file (CSV) for every call")
    options = parser.parse_args()

    def open_all() -> tuple[Engine, Machine]:
        engine = AdsEngine(options.engine) if options.protocol == "ads" else ModbusEngine(options.engine)
        return engine, Machine(options.machine)

    until = time.monotonic() + PATIENCE_S
    while True:  # a PLC may start before what it talks to
        try:
            program = Program(open_all)
            break
        except Exception as error:
            if time.monotonic() > until:
                sys.exit(f"no connection: {error}")
            time.sleep(0.1)

    def stop(*_: object) -> None:
        program.is_stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        program.run()
    finally:
        if options.calls:
            lines = [",".join(Call._fields), *(",".join(map(str, call)) for call in program.calls)]
            options.calls.write_text("\n".join(lines) + "\n", encoding="utf-8")
        if program.calls:
            print(histogram(program.calls))
        if program.faults:
            print(f"{len(program.faults)} faults, the last in {program.faults[-1]}")


if __name__ == "__main__":
    main()
