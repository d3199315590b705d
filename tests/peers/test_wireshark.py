"""What the ADS server says, judged by Wireshark's dissector: pyads tries everything, a proxy writes a capture of it.

pyads -- 127.0.0.x:48898 -- proxy -- server           the capture has one TCP segment for each AMS packet
"""

import asyncio
import json
import struct
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from plc_bindings.ads.device import AdsOptions
from plc_bindings.ads.server import AdsServer
from plc_bindings.security.access import Access
from tests import ROOT, need
from tests.peers import plant

pytestmark = pytest.mark.peer

RAW_IP = 101
READ, NOTIFICATION, READ_WRITE = 2, 8, 9
COMMANDS = {1, 2, 3, 4, 6, 7, 8, 9}
"""Device info, read, write, state, add and delete notification, notification, read-write."""


class Recorder:
    """Packets of both directions as a capture file: IPv4 and TCP headers are made up around them."""

    def __init__(self) -> None:
        self._parts = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, RAW_IP)]
        self._sequence = Counter[tuple[int, int]]()

    def add(self, source: int, target: int, data: bytes) -> None:
        """One segment from a port to a port."""
        sent, received = self._sequence[source, target], self._sequence[target, source]
        tcp = struct.pack(">HHIIBBHHH", source, target, 1 + sent, 1 + received, 0x50, 0x18, 65535, 0, 0)
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40 + len(data), 0, 0, 64, 6, 0, b"\x7f\0\0\1", b"\x7f\0\0\2")
        seconds, micros = divmod(time.time_ns() // 1000, 1_000_000)
        size = 40 + len(data)
        self._parts += [struct.pack("<IIII", seconds, micros, size, size), ip, tcp, data]
        self._sequence[source, target] += len(data)

    def save(self, path: Path) -> None:
        path.write_bytes(b"".join(self._parts))


class Proxy:
    """Passes packets on and records them; a server for `plant.serving`."""

    def __init__(self, host: str, server: AdsServer, recorder: Recorder) -> None:
        self._host, self._behind, self._recorder = host, server, recorder
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        await self._behind.start()
        self._server = await asyncio.start_server(self._meet, self._host, plant.AMS_TCP_PORT)

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await self._behind.stop()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = writer.get_extra_info("peername")[1]
        answers, requests = await asyncio.open_connection(*self._behind.address)
        for source, target, ports in (
            (reader, requests, (port, plant.AMS_TCP_PORT)),
            (answers, writer, (plant.AMS_TCP_PORT, port)),
        ):
            self._tasks.add(asyncio.create_task(self._pass_on(source, target, ports)))

    async def _pass_on(self, source: Any, target: Any, ports: tuple[int, int]) -> None:
        try:
            while True:
                head = await source.readexactly(6)
                packet = head + await source.readexactly(struct.unpack_from("<I", head, 2)[0])
                self._recorder.add(*ports, packet)
                target.write(packet)
        except (asyncio.IncompleteReadError, ConnectionError):
            target.close()


def tshark(*arguments: str) -> str:
    return subprocess.run(
        [need.program("tshark"), *arguments], capture_output=True, text=True, check=True, timeout=60
    ).stdout


FIELDS = (
    *("ams.cmdid", "ams.state_response", "ams.invokeid", "ams.cbdata", "ams.adsresult", "ams.ads_cblength"),
    *("ams.ads_noteblocksstamps", "_ws.malformed", "_ws.expert.message"),
)


def packets(capture: Path) -> list[dict[str, str]]:
    """Fields of each packet, as Wireshark sees them."""
    lines = tshark("-r", str(capture), "-T", "fields", *(word for name in FIELDS for word in ("-e", name)))
    return [dict(zip(FIELDS, line.split("\t"), strict=True)) for line in lines.splitlines()]


def command(packet: dict[str, str]) -> int:
    return int(packet["ams.cmdid"], 0)


def is_answer(packet: dict[str, str]) -> bool:
    return packet["ams.state_response"] in ("1", "True")


def wrong(packet: dict[str, str]) -> str:
    """What Wireshark does not like about a packet, or does not find in it; empty: nothing."""
    if packet["_ws.malformed"] or packet["_ws.expert.message"]:
        return "marked"
    is_read = is_answer(packet) and command(packet) in (READ, READ_WRITE)
    if is_read and packet["ams.cbdata"] == "8":
        return ""  # a result and no data: Wireshark does not look into it
    if is_answer(packet) and not packet["ams.adsresult"]:
        return "an answer without a result"
    length = int(packet["ams.ads_cblength"] or -1)
    if is_read and int(packet["ams.cbdata"]) != length + 8:
        return "an answer with another length than it says"
    if command(packet) == NOTIFICATION and (int(packet["ams.cbdata"]), bool(packet["ams.ads_noteblocksstamps"])) != (
        *(length + 4, True),
    ):
        return "a notification with another length than it says"
    return ""


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that pyads asks, and what it gets."""
    tshark("--version")
    host, recorder = plant.own_loopback(), Recorder()
    options = AdsOptions(host="127.0.0.1", port=0, net_id=f"{host}.1.1")
    server = AdsServer(plant.database(), plant.models(), options, Access(writable=["Tags.*"]))
    with plant.serving(Proxy(host, server, recorder)):
        client = [sys.executable, "-m", "tests.peers.pyads_client", host, f"{host}.1.1", "851"]
        done = subprocess.run(client, capture_output=True, text=True, check=False, cwd=ROOT, timeout=60)
        assert json.loads(done.stdout)["close"] is True
    path = tmp_path_factory.mktemp("capture") / "ads.pcap"
    recorder.save(path)
    return path


def test_every_packet_is_well_formed(capture: Path) -> None:
    """Wireshark marks no packet, knows every command that was used, and reads the lengths that were meant."""
    found = packets(capture)
    assert len(found) > 80
    assert [(command(packet), why) for packet in found if (why := wrong(packet))] == []
    assert {command(packet) for packet in found} == COMMANDS


def test_every_request_has_its_answer(capture: Path) -> None:
    """As many answers as requests, with the same ids; notifications are requests of the server's that none answers."""
    requests, answers = Counter[str](), Counter[str]()
    for packet in packets(capture):
        if command(packet) != NOTIFICATION:
            (answers if is_answer(packet) else requests)[packet["ams.invokeid"]] += 1
    assert requests == answers
    assert len(requests) > 40


@pytest.mark.parametrize(
    ("body", "why"), [(bytes(2), "without a result"), (struct.pack("<II", 0, 100) + bytes(2), "another length")]
)
def test_a_damaged_answer_is_seen(body: bytes, why: str, tmp_path: Path) -> None:
    """Answers to Read that are cut short, or say a wrong length, do not pass."""
    recorder = Recorder()
    ams = struct.pack("<6sH6sHHHIII", bytes(6), 851, bytes(6), 33_000, READ, 5, len(body), 0, 1)
    recorder.add(plant.AMS_TCP_PORT, 50_000, struct.pack("<HI", 0, len(ams) + len(body)) + ams + body)
    recorder.save(tmp_path / "damaged.pcap")
    (packet,) = packets(tmp_path / "damaged.pcap")
    assert why in wrong(packet)
