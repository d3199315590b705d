"""Clients of the measurement, in processes of their own so that none of them is what is full."""

import asyncio
import logging
import multiprocessing
import queue
import socket
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256

from benchmarks.opcua_server.server import USER
from benchmarks.plc_calls.__main__ import ADS_REPLY, ads_request

Found = dict[str, list[float]]
"""What -> milliseconds, of each."""
START_S = 60.0


async def secured(place: tuple[str, int, Path], folder: str = "client") -> Client:
    """A client with its certificate; not yet connected."""
    host, port, path = place
    made = Client(f"opc.tcp://{host}:{port}", timeout=START_S)
    made.application_uri = f"urn:bench:{folder}"
    made.set_user(USER[0])
    made.set_password(USER[1])
    await made.set_security(
        SecurityPolicyBasic256Sha256,
        path / folder / "own.der",
        path / folder / "own.pem",
        None,
        path / "server" / "own.der",
        ua.MessageSecurityMode.SignAndEncrypt,
    )
    return made


def tag(number: int) -> ua.NodeId:
    """One of the values."""
    return ua.NodeId(f"Tags.v{number}", 2)


class Heard:
    """A subscription's notifications: how old each value is when it is here."""

    def __init__(self) -> None:
        self.ages: list[float] = []
        self.since = float("inf")

    def datachange_notification(self, node: Any, value: Any, data: Any) -> None:
        """A value has come."""
        source = data.monitored_item.Value.SourceTimestamp
        if time.monotonic() > self.since and source is not None:
            self.ages.append((datetime.now(UTC) - source.replace(tzinfo=UTC)).total_seconds() * 1e3)


async def watch(place: Any, first: int, sessions: int, items: int, ready: Any, end: Any, seconds: float) -> Found:
    """So many sessions, each with so many items, behind `first` others."""
    clients = [await secured(place) for _ in range(sessions)]
    heard = Heard()
    for number, one in enumerate(clients, first):
        await one.connect()
        subscription = await one.create_subscription(100, heard)
        nodes = [one.get_node(tag(number * items + item)) for item in range(items)]
        for at in range(0, items, 500):
            await subscription.subscribe_data_change(nodes[at : at + 500])
    ready.release()
    while not end.is_set():  # the others are ready, too
        await asyncio.sleep(0.05)
    heard.since = time.monotonic()
    await asyncio.sleep(seconds)
    for one in clients:
        with suppress(Exception):
            await one.disconnect()
    return {"notification": heard.ages}


async def ask(place: Any, ready: Any, begin: Any, seconds: float) -> Found:
    """One session that reads and writes in turns, with pauses."""
    one = await secured(place)
    await one.connect()
    ready.release()
    while not begin.is_set():
        await asyncio.sleep(0.05)
    session, found = one.uaclient, Found()
    value = ua.DataValue(ua.Variant(1.0, ua.VariantType.Float))

    def read(count: int) -> Any:
        return session.read(
            ua.ReadParameters(NodesToRead=[ua.ReadValueId(tag(k), ua.AttributeIds.Value) for k in range(count)])
        )

    def write() -> Any:
        return session.write(
            ua.WriteParameters(NodesToWrite=[ua.WriteValue(tag(5000), ua.AttributeIds.Value, None, value)])
        )

    kinds = {
        "read 1": lambda: read(1),
        "read 100": lambda: read(100),
        "read 1000": lambda: read(1000),
        "write 1": write,
    }
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for kind, work in kinds.items():
            before = time.perf_counter()
            await work()
            found.setdefault(kind, []).append((time.perf_counter() - before) * 1e3)
            await asyncio.sleep(0.005)
    names = ("Tasks.axis.WakeUp.P50", "Tasks.axis.WakeUp.P99")
    found["wake-up of the task, P50 and P99 (ms)"] = [
        await one.get_node(ua.NodeId(name, 2)).read_value() / 1e3 for name in names
    ]
    await one.disconnect()
    return found


async def shake(place: Any, count: int, at_once: bool) -> Found:
    """Connections with long keys."""
    found: list[float] = []

    async def connect() -> None:
        one = await secured(place, "long")
        before = time.perf_counter()
        await one.connect()
        found.append((time.perf_counter() - before) * 1e3)
        await one.disconnect()

    if at_once:
        await asyncio.gather(*(connect() for _ in range(count)))
    else:
        for _ in range(count):
            await connect()
    return {"handshake, 4096 bits": found}


def predict(port: int, seconds: float) -> Found:
    """ADS calls, once a millisecond."""
    request, found = ads_request(), []
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            before, got = time.perf_counter(), 0
            sock.sendall(request)
            while got < ADS_REPLY:
                got += len(sock.recv(4096))
            found.append((time.perf_counter() - before) * 1e3)
            time.sleep(0.001)
    return {"ADS predict": found}


def _run(answers: Any, work: Any, *given: Any) -> None:
    logging.getLogger("asyncua").setLevel(logging.ERROR)
    result = work(*given)
    answers.put(asyncio.run(result) if asyncio.iscoroutine(result) else result)


class Crowd:
    """Clients in processes of their own."""

    def __init__(self) -> None:
        self.context = multiprocessing.get_context("spawn")
        self.answers, self.ready, self.begin = self.context.Queue(), self.context.Semaphore(0), self.context.Event()
        self.processes: list[Any] = []

    def start(self, work: Any, *given: Any) -> None:
        """One more."""
        process = self.context.Process(target=_run, args=(self.answers, work, *given))
        process.start()
        self.processes.append(process)

    def results(self) -> Found:
        """When all have ended."""
        found = Found()
        for _ in self.processes:
            for what, times in self._next().items():
                found.setdefault(what, []).extend(times)
        for process in self.processes:
            process.join()
        self.processes.clear()
        return found

    def _next(self) -> Found:
        while True:
            with suppress(queue.Empty):
                answer: Found = self.answers.get(timeout=1.0)
                return answer
            if any(process.exitcode for process in self.processes):
                raise SystemExit("a client has failed: it says more above")

    def wait_ready(self) -> None:
        """Until all are connected; then let them begin."""
        for _ in self.processes:
            while not self.ready.acquire(timeout=1.0):
                if any(process.exitcode for process in self.processes):
                    raise SystemExit("a client has failed: it says more above")
        time.sleep(1.0)
        self.begin.set()
