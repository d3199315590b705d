"""The demo's plant as a process: an unstable machine in real time behind a Modbus TCP server.

    python -m station.demo.plant --port 0

prints `{"event": "listening", "host": "127.0.0.1", "port": 40123}` and then serves unit 1 until its standard input
ends. Lines on the standard input are commands; each is answered by one line of JSON:

    status                     state, and statistics of every interval
    history                    the last two minutes, a row every 20 ms
    mark NAME                  begin a new interval of the statistics; answers with the one that ended
    cut SECONDS                drop every connection and refuse new ones; the machine goes on
    mute SECONDS               stay connected but silent, as when the cable is pulled
    push AXIS NEWTON SECONDS   a force from outside on the cart of axis x or y

The register map is in `station.demo.machine`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import math
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from station.demo.machine import AXES, COMMAND_ADDRESS, COMMAND_REGISTERS, SENSOR_REGISTERS, Machine, Push

TICK_S = 0.005  # the machine also moves on when nobody asks
UNIT = 1


class CommandError(ValueError):
    """A line on the standard input is not a command; the message says what is."""


class Plant:
    """A machine, its Modbus server, and the faults that can be injected.

    The machine moves on lazily: each request and each command advances it to the present, so what is read is of that moment.
    """

    def __init__(self, machine: Machine, host: str = "127.0.0.1", port: int = 0) -> None:
        self.machine = machine
        self.host = host
        self.port = port
        self.connected = 0
        self.cuts = 0
        self._server: ModbusTcpServer | None = None
        self._silent_until_s = 0.0
        self._restoring: asyncio.Task[None] | None = None
        self._commands: dict[str, Callable[..., Awaitable[dict[str, Any]]]] = {
            "status": self._status,
            "history": self._history,
            "mark": self._mark,
            "cut": self._cut,
            "mute": self._mute,
            "push": self._push,
        }

    async def open(self) -> None:
        """Listen; afterwards `port` is the real one.

        Raises:
            OSError: the address cannot be listened on.
        """
        device = SimDevice(
            id=UNIT,
            simdata=[
                SimData(0, count=SENSOR_REGISTERS, datatype=DataType.REGISTERS, readonly=True),
                SimData(COMMAND_ADDRESS, count=COMMAND_REGISTERS, datatype=DataType.REGISTERS),
            ],
            action=self._access,
        )
        server = ModbusTcpServer(
            device, address=(self.host, self.port), trace_packet=self._packet, trace_connect=self._connection
        )
        try:
            await server.serve_forever(background=True)
        except RuntimeError as exc:
            raise OSError(f"cannot listen on {self.host}:{self.port}; is another process using the port?") from exc
        self._server = server
        self.port = cast(asyncio.Server, server.transport).sockets[0].getsockname()[1]

    async def run(self) -> None:
        """Move the machine in real time until cancelled."""
        while True:
            self.machine.advance(time.monotonic())
            await asyncio.sleep(TICK_S)

    def close(self) -> None:
        """Drop every connection and stop listening."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def execute(self, line: str) -> dict[str, Any]:
        """Run one command line and return its answer.

        Raises:
            CommandError: not a command, or not its arguments.
        """
        name, *arguments = line.split()
        command = self._commands.get(name)
        if command is None:
            raise CommandError(f"unknown command {name!r}; commands: {', '.join(self._commands)}")
        self.machine.advance(time.monotonic())
        try:
            return await command(*arguments)
        except (TypeError, ValueError) as exc:
            raise CommandError(f"{line.strip()!r}: {exc}") from exc

    async def _access(
        self,
        _function_code: int,
        _start_address: int,
        address: int,
        _count: int,
        registers: list[int],
        values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        """Called by the server before each read or write of registers."""
        self.machine.advance(time.monotonic())
        if values is not None and not self.machine.write(address, [int(value) for value in values]):
            return ExcCodes.ILLEGAL_VALUE  # half of a float
        registers[:SENSOR_REGISTERS] = self.machine.sensors()
        return None

    def _packet(self, _sending: bool, data: bytes) -> bytes:
        return b"" if time.monotonic() < self._silent_until_s else data

    def _connection(self, connected: bool) -> None:
        self.connected += 1 if connected else -1

    async def _status(self) -> dict[str, Any]:
        link = {"listening": self._server is not None, "connected": self.connected, "cuts": self.cuts}
        return {**link, **self.machine.report()}

    async def _history(self) -> dict[str, Any]:
        return self.machine.history()

    async def _mark(self, name: str) -> dict[str, Any]:
        return self.machine.mark(name)

    async def _cut(self, seconds: str) -> dict[str, Any]:
        duration_s = _number(seconds)
        if self._server is None:
            raise CommandError("the connection is cut already")
        self.close()
        self.cuts += 1
        self._restoring = asyncio.create_task(self._restore(duration_s))
        return {"event": "cut", "duration_s": duration_s, "time_s": self.machine.time_s}

    async def _restore(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        while self._server is None:
            try:
                await self.open()
            except OSError:  # somebody took the port meanwhile: `listening` in the status says so
                await asyncio.sleep(0.05)

    async def _mute(self, seconds: str) -> dict[str, Any]:
        duration_s = _number(seconds)
        begin_s = time.monotonic()
        self._silent_until_s = begin_s + duration_s
        return {
            "event": "mute",
            "duration_s": duration_s,
            "time_s": self.machine.time_s,
            "monotonic_ns": round(begin_s * 1e9),
        }

    async def _push(self, axis: str, newton: str, seconds: str) -> dict[str, Any]:
        if axis not in AXES:
            raise CommandError(f"unknown axis {axis!r}; axes: {', '.join(AXES)}")
        time_s = self.machine.time_s
        push = Push(_number(newton), from_s=time_s, until_s=time_s + _number(seconds))
        self.machine.axes[axis].push = push
        return {"event": "push", "axis": axis, "force_n": push.force_n, "until_s": push.until_s}


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a finite number")
    return number


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer, allow_nan=False), flush=True)


def _read_input(loop: asyncio.AbstractEventLoop, lines: asyncio.Queue[str]) -> None:
    """Thread: hand over each line of the standard input, and an empty string at its end."""
    with contextlib.suppress(RuntimeError):  # the loop has ended
        for line in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, line)
        loop.call_soon_threadsafe(lines.put_nowait, "")


async def _follow_input(plant: Plant) -> None:
    """Execute the lines of the standard input until it ends."""
    lines: asyncio.Queue[str] = asyncio.Queue()
    threading.Thread(target=_read_input, args=(asyncio.get_running_loop(), lines), daemon=True).start()
    while line := await lines.get():
        if line.strip():
            try:
                _say(await plant.execute(line))
            except CommandError as exc:
                _say({"error": str(exc)})


async def _run(plant: Plant, forever: bool) -> None:
    await plant.open()
    _say({"event": "listening", "host": plant.host, "port": plant.port})
    tasks = {asyncio.create_task(plant.run())}
    if not forever:
        tasks.add(asyncio.create_task(_follow_input(plant)))
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        plant.close()


def main() -> None:
    """Command line of the plant process."""
    parser = argparse.ArgumentParser(
        prog="station.demo.plant", description="The demo's machine behind a Modbus TCP server."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=int, default=0, help="port to listen on; 0 (default) takes a free one and prints it"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of the rail's unevenness (default: %(default)s)")
    parser.add_argument(
        "--forever", action="store_true", help="do not read commands and do not end with the standard input"
    )
    options = parser.parse_args()
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # a controller that is gone is part of the story
    plant = Plant(Machine(seed=options.seed), options.host, options.port)
    try:
        asyncio.run(_run(plant, options.forever))
    except KeyboardInterrupt:
        pass
    except OSError as exc:
        sys.exit(str(exc))


if __name__ == "__main__":
    main()
