"""A Modbus TCP device that knows whether what is written to it is right: `python -m benchmarks.soak.device TIMEOUT_MS`.

Its input register pair is the time in milliseconds, which the station's model gives back with its version in the fraction:

    served   x = 182034.0                    the device's clock when a request was read, a float32
    written  y = x + version / 4             of a value that was served, no longer ago than the timeouts allow
             y = SAFE                        the safe value

So every write says which input it was made of, how old that is, and by which version of the model. Lines on standard input
are faults ("silent 0.3") and questions ("count", "versions 1 2"); the answer to each is one line of JSON.
"""

import json
import os
import selectors
import socket
import struct
import sys
import time
from collections import Counter
from typing import Final

SAFE: Final = -1.0
SPAN_MS: Final = 1 << 20  # with quarters exact in a float32; a value is served once in 17 minutes
SLACK_MS: Final = 20.0  # until this process, which shares the machine, has read what was sent


class Device:
    """One thread: accepts, reads, judges, answers; in a state that a fault gives it for a time."""

    def __init__(self, timeout_ms: float) -> None:
        self._limit_ms = (
            2.0 * timeout_ms + SLACK_MS
        )  # an input may be one timeout old, and an output made of it another
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._clients: dict[socket.socket, bytes] = {}
        self._served = bytearray(SPAN_MS)
        self._fault, self._until_s = "", 0.0
        self._later: list[tuple[float, socket.socket, bytes]] = []
        self._versions: set[int] = {0}
        self.last = SAFE
        self.oldest_ms = 0.0
        self.counts: Counter[str] = Counter()
        self.examples: list[str] = []

    def run(self) -> None:
        """Serve until standard input ends."""
        self._selector.register(sys.stdin, selectors.EVENT_READ)
        while True:
            wait_s = max(0.0, min(0.05, min((due for due, *_ in self._later), default=1e9) - time.monotonic()))
            for key, _ in self._selector.select(wait_s if self._later else 0.05):
                if key.fileobj is sys.stdin:
                    line = sys.stdin.readline()
                    if not line:
                        return
                    print(json.dumps(self._command(line.split())), flush=True)
                elif key.fileobj is self._listener:
                    self._accept()
                else:
                    self._read(key.fileobj)  # type: ignore[arg-type]
            self._send_late()

    def _command(self, words: list[str]) -> object:
        if words[0] == "versions":
            self._versions = {int(word) for word in words[1:]}
        elif words[0] == "count":
            oldest, self.oldest_ms = self.oldest_ms, 0.0
            return {
                **self.counts,
                "oldest_ms": oldest,
                "last": self.last,
                "now": len(self._clients),
                "examples": self.examples,
            }
        else:
            self._fault, self._until_s = words[0], time.monotonic() + float(words[1])
            if words[0] in ("reset", "refuse"):
                for client in list(self._clients):
                    self._drop(client)
        return {}

    @property
    def _now(self) -> str:
        return self._fault if time.monotonic() < self._until_s else ""

    # --- connections --------------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        self.counts["connections"] += 1
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._clients[client] = b""
        self._selector.register(client, selectors.EVENT_READ)
        self.counts["most at once"] = max(self.counts["most at once"], len(self._clients))
        if self._now == "refuse":
            self._drop(client)

    def _drop(self, client: socket.socket) -> None:
        if self._clients.pop(client, None) is not None:
            self._selector.unregister(client)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()

    def _read(self, client: socket.socket) -> None:
        try:
            data = client.recv(4096)
        except OSError:
            data = b""
        if not data:
            self._drop(client)
            return
        data = self._clients[client] + data
        while len(data) >= 7 and len(data) >= (size := 6 + struct.unpack(">H", data[4:6])[0]):
            self._answer(client, data[:2], data[6], data[7:size])
            data = data[size:]
            if client not in self._clients:
                return
        self._clients[client] = data

    def _send(self, client: socket.socket, frame: bytes) -> None:
        try:
            client.send(frame)
        except OSError:
            self._drop(client)

    def _send_late(self) -> None:
        now = time.monotonic()
        for _, client, frame in [late for late in self._later if late[0] <= now]:
            if client in self._clients:
                self._send(client, frame)
        self._later = [late for late in self._later if late[0] > now]

    # --- requests -----------------------------------------------------------------------------------------------------

    def _answer(self, client: socket.socket, number: bytes, unit: int, request: bytes) -> None:
        pdu = self._carry_out(request)
        fault = self._now
        if fault == "silent":
            return
        if fault == "exception":
            pdu = bytes((request[0] | 0x80, 4))
        if fault == "foreign":
            number = bytes((number[0] ^ 0x55, number[1]))
        frame = number + struct.pack(">HHB", 0, len(pdu) + 1, unit) + pdu
        if fault == "half":
            frame = frame[: len(frame) // 2]
        if fault == "garbage":
            frame = os.urandom(len(frame))
        if fault == "late":
            self._later.append((time.monotonic() + 0.03, client, frame))
            return
        if fault == "slow":
            self._later.append((time.monotonic() + 0.08, client, frame))
            return
        self._send(client, frame)

    def _carry_out(self, request: bytes) -> bytes:
        function = request[0]
        if function in (3, 4):
            count = struct.unpack(">H", request[3:5])[0]
            return bytes((function, 2 * count)) + self._input()
        if function == 16:
            self._judge(struct.unpack(">f", request[6:10])[0])
            return request[:5]
        return bytes((function | 0x80, 1))

    def _input(self) -> bytes:
        if self._now == "nan":
            return struct.pack(">f", float("nan"))
        if self._now == "infinite":
            return struct.pack(">f", float("inf"))
        now = int(time.monotonic() * 1e3) % SPAN_MS
        self._served[now] = 1
        self._served[(now + SPAN_MS // 2) % SPAN_MS] = 0
        return struct.pack(">f", float(now))

    def _judge(self, y: float) -> None:
        """Count a write as right, as the safe value, or as what it must not be."""
        self.counts["writes"] += 1
        self.last = y
        if y == SAFE:
            self.counts["safe"] += 1
            return
        quarters = 4.0 * y
        if not 0.0 <= y < SPAN_MS or quarters != int(quarters):
            self._wrong(f"{y} is no value of ours")
            return
        x, version = int(y), int(quarters) % 4
        age = (time.monotonic() * 1e3 - x) % SPAN_MS
        if not self._served[x] or age > SPAN_MS / 2:
            self._wrong(f"{x} was never served, or long ago")
        elif version not in self._versions:
            self._wrong(f"version {version}, expected {self._versions}")
        elif age > self._limit_ms:
            self.counts["too old"] += 1
            self._example(f"{age:.0f} ms old")
        else:
            self.counts["right"] += 1
        self.oldest_ms = max(self.oldest_ms, age)

    def _wrong(self, why: str) -> None:
        self.counts["wrong"] += 1
        self._example(why)

    def _example(self, text: str) -> None:
        self.examples = [*self.examples[-19:], text]


def main() -> None:
    """Say the port, then serve; before other processes where rights allow, so that ages are true."""
    device = Device(float(sys.argv[1]))
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(60))
    except PermissionError:
        print("without real-time rights: ages are those of this process too", file=sys.stderr)
    print(json.dumps({"port": device.port}), flush=True)
    device.run()


if __name__ == "__main__":
    main()
