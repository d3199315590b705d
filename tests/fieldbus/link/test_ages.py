"""The age of values: outputs that grew too old are not sent by any kind of link, inputs are as old as the question."""

import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from fieldbus.errors import OutdatedError
from fieldbus.image.image import ProcessImage
from fieldbus.inprocess.link import InProcessLink
from fieldbus.link.cyclic import CyclicLink
from fieldbus.modbus import link as modbus_link
from fieldbus.modbus.address import ModbusAddress
from fieldbus.modbus.habits import Habits
from fieldbus.modbus.link import ModbusLink, Rtu, Tcp
from fieldbus.tags import Tag
from tests.fieldbus.modbus.hostile import Hostile
from tests.fieldbus.modbus.serial_device import Serial
from tests.processes import state
from tests.waiting import wait_for

NS = 1_000_000_000
TIMEOUT_S = 0.05
STANDS_S = 1.0
OUT = Tag("u", "uint16", "out", address=ModbusAddress("holding", 0))


@pytest.fixture(params=["tcp", "tcp read-write", "in-process"])
def link_and_sent(request: pytest.FixtureRequest) -> Iterator[tuple[CyclicLink, list[object]]]:
    """A link of each kind, connected, and a list that anything which its device gets for an output is added to."""
    sent: list[object] = []
    if request.param.startswith("tcp"):
        tags = [OUT, Tag("x", "uint16", "in", address=ModbusAddress("holding", 1))]
        with Hostile() as device:
            device.asked = sent  # type: ignore[assignment]
            yield ModbusLink("l", tags, Tcp("127.0.0.1", device.port), read_write="read" in request.param), sent
    else:
        yield InProcessLink("l", [OUT], lambda values: sent.append(values) or {}), sent  # type: ignore[func-returns-value]


def test_no_kind_sends_outputs_that_are_too_old(link_and_sent: tuple[CyclicLink, list[object]]) -> None:
    """Asked to send values whose time has passed, a link raises `OutdatedError`, and its device gets nothing of them."""
    link, sent = link_and_sent
    deadline_ns = time.monotonic_ns() + 5 * NS
    link._open(deadline_ns)
    link._out.until_ns = time.monotonic_ns() - 1
    inputs = np.zeros(link._in.cells.count)
    with pytest.raises(OutdatedError):
        link._exchange(np.array([7.0]), inputs, deadline_ns)
    assert not sent
    link._out.make_safe()
    link._exchange(np.array([7.0]), inputs, deadline_ns)
    link._close()


def test_outputs_that_grow_too_old_in_a_native_exchange_are_not_sent() -> None:
    """A serial device needs 0.1 s between two writes, values are good for 0.05 s: the second write carries the safe value."""
    tags = [Tag(f"u{n}", "uint16", "out", safe=3, address=ModbusAddress("holding", n)) for n in (0, 50)]
    with Serial() as device:
        transport, habits = Rtu(device.port, 115200, "N", answer_s=0.02), Habits(request_pause_s=0.1)
        link = ModbusLink("l", tags, transport, 0.01, TIMEOUT_S, habits=habits, backoff_s=(0.01, 0.02))
        channel = link.drive(ProcessImage(), ["u0", "u50"], "test")
        with link:
            for _ in range(3):
                before = len(device.asked)
                wait_for(lambda: channel.write([7.0, 7.0]) is None and (0, 7) in written(device, before))  # noqa: B023
                before = len(device.asked)
                wait_for(lambda: written(device, before) >= {(0, 3), (50, 3)})  # noqa: B023
    assert written(device, 0) == {(0, 7), (0, 3), (50, 3)}


def written(device: Serial, since: int) -> set[tuple[int, int]]:
    """(register, value) of the requests that write, from this one on."""
    return {(request[3], request[5]) for _, request in device.asked[since:] if request[1] == 6}


def test_of_several_requests_the_first_that_reads_says_how_old_inputs_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """A write of 3 ms, then two reads of 3 ms each: what they give counts from the end of the write. A fake clock."""
    tags = [OUT, *(Tag(f"x{i}", "uint16", "in", address=ModbusAddress("holding", 500 * i)) for i in (1, 2))]
    link = ModbusLink("l", tags, Tcp("127.0.0.1", 1))
    now_ns = [10 * NS]

    class Device:
        def ask(self, unit: int, function: int, body: bytes, deadline_ns: int, until_ns: int) -> bytes:
            now_ns[0] += 3_000_000
            return body[:4] if function == 6 else b"\x02\x00\x05"

    class Clock:
        monotonic_ns = staticmethod(lambda: now_ns[0])

    monkeypatch.setattr(link, "_client", Device())
    monkeypatch.setattr(modbus_link, "time", Clock)
    inputs = np.zeros(2)
    assert link._exchange(np.array([1.0]), inputs, 20 * NS) == 10 * NS + 3_000_000
    assert (inputs.tolist(), now_ns[0]) == ([5.0, 5.0], 10 * NS + 9_000_000)


# --- a real process that stands still ---------------------------------------------------------------------------------

_CHILD = """
import ctypes, sys, time
from fieldbus.image.image import ProcessImage
from fieldbus.modbus.address import ModbusAddress
from fieldbus.modbus.link import ModbusLink, Tcp
from fieldbus.tags import Quality, Tag

PORT, TIMEOUT_S = int(sys.argv[1]), float(sys.argv[2])
tags = [Tag("u", "float64", "out", safe=-1.0, address=ModbusAddress("holding", 0)),
        Tag("x", "float64", "in", address=ModbusAddress("holding", 100))]
link, image = ModbusLink("l", tags, Tcp("127.0.0.1", PORT), 0.002, TIMEOUT_S), ProcessImage()
u, x = link.drive(image, ["u"], "task"), link.subscribe(image, ["x"], "task")
with link:
    link.wait_up(60.0)
    for line in sys.stdin:
        until = time.monotonic() + 0.1
        while time.monotonic() < until:
            u.write([time.monotonic()])
            sample = x.read()
            if sample.quality == Quality.GOOD and sample.timestamp_ns > sample.values[0] * 1e9:
                sys.exit(f"taken for {sample.timestamp_ns * 1e-9 - sample.values[0]} s younger than it is")
            time.sleep(0.001)
        if line == "hold\\n":
            ctypes.PyDLL(None).usleep(1_000_000)  # holds the interpreter
        print("done", flush=True)
"""


class _Recorder(Hostile):
    """Answers with the time; keeps (until when it had not come, value) of each write: when a busy device reads it says nothing."""

    def __init__(self) -> None:
        self.writes: list[tuple[float, float]] = []
        self._connection = threading.local()
        super().__init__()

    def _comes(self, sock: socket.socket) -> bool:
        self._connection.silent_s = 0.0
        looked_s = time.monotonic()
        while not select.select([sock], [], [], 0.001)[0]:
            self._connection.silent_s, looked_s = looked_s, time.monotonic()
        return True

    def _good_answer(self, function: int, body: bytes) -> bytes:
        if function == 16:
            self.writes.append((self._connection.silent_s, struct.unpack(">d", body[5:])[0]))
            return bytes([function]) + body[:4]
        return bytes([function, 8]) + struct.pack(">d", time.monotonic())


def test_a_process_that_stood_still_sends_no_old_value_and_takes_none_for_new() -> None:
    """Stopped for a second while it exchanges every 2 ms, or with the interpreter held as long."""
    with _Recorder() as device:
        command = [sys.executable, "-c", _CHILD, str(device.port), str(TIMEOUT_S)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            for order in ("stop", "hold") * 3:
                print(order, file=child.stdin, flush=True)
                if order == "stop":
                    time.sleep(0.05)
                    child.send_signal(signal.SIGSTOP)
                    wait_for(lambda: state(child.pid) == "T")
                    time.sleep(STANDS_S)
                    child.send_signal(signal.SIGCONT)
                assert child.stdout.readline() == "done\n"
            child.stdin.close()
            assert child.wait(60.0) == 0
        wait_for(lambda: device.writes[-1][1] == -1.0)
    ages = [silent_s - value for silent_s, value in device.writes if value != -1.0 and silent_s]
    assert max(ages) < 0.9 * STANDS_S  # beyond TIMEOUT_S: what a busy computer adds between our clock and a system call
