"""What is measured: a station with a task every millisecond, and a server of ours beside it; or a bare asyncio echo.

    python -m benchmarks.plc_calls.server ads | modbus | asyncio REQUEST_BYTES REPLY_BYTES  [busy]

Prints one line of JSON: where it listens, and what the main program needs to make a request. Ends with its standard input.
"""

import asyncio
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import rt_engine
from benchmarks.models import mlp
from fieldbus.image.image import ProcessImage
from fieldbus.plc.link import PlcLink
from fieldbus.tags import Tag
from plc_bindings.data.areas import Shown, database
from plc_bindings.data.database import Database
from plc_bindings.data.model_area import ModelFile
from plc_bindings.data.models import Models
from plc_bindings.net.serving import Serving
from plc_bindings.security.access import Access, Limits
from scheduler import Guard, Input, Output, Scheduler, Task

WIDTHS = (16, 64, 64, 4)
LIMITS = Limits(requests_per_second=1_000_000, connections=64, connections_per_address=64)


@contextmanager
def station() -> Iterator[tuple[Database, Models, list[PlcLink]]]:
    """A perceptron in a task of 1 kHz, its inputs and outputs tags of PLC clients."""
    tags = [Tag("x", "float32", "in", count=WIDTHS[0]), Tag("y", "float32", "out", count=WIDTHS[-1])]
    slot, image = rt_engine.ModelSlot(rt_engine.load(mlp(WIDTHS, "Relu"))), ProcessImage()
    link = PlcLink("plc", tags, timeout_s=0.1)
    inputs, outputs = link.subscribe(image, ["x"], "axis"), link.drive(image, ["y"], "axis")
    task = Task(
        name="axis",
        model=slot,
        period_s=0.001,
        inputs=(Input(tensor="x", channel=inputs, count=WIDTHS[0]),),
        outputs=(Output(tensor="y", channel=outputs, count=WIDTHS[-1]),),
        guard=Guard(on_bad_input="run"),
    )
    models = Models({"policy": slot})
    scheduler = Scheduler([task])
    shown = Shown("bench", "", {"plc": link}, models, {"policy": ModelFile("", "")}, scheduler, image, ["x", "y"])
    database_ = database(shown)
    link.start()
    with scheduler:
        yield database_, models, [link]
        counters = scheduler.counters("axis")
        print(json.dumps({"cycles": int(counters["cycles"]), "overruns": int(counters["overruns"])}), flush=True)
    link.stop()


class Echo(asyncio.Protocol):
    """Answers each request of a fixed size with a reply of a fixed size."""

    def __init__(self, request: int, reply: int) -> None:
        self.request, self.reply, self.got = request, bytes(reply), 0

    def connection_made(self, transport: Any) -> None:
        """Keep where to write."""
        self.write = transport.write

    def data_received(self, data: bytes) -> None:
        """Answer whole requests."""
        self.got += len(data)
        while self.got >= self.request:
            self.got -= self.request
            self.write(self.reply)


async def echo(request: int, reply: int) -> None:
    """The floor for any server on asyncio."""
    server = await asyncio.get_running_loop().create_server(lambda: Echo(request, reply), "127.0.0.1", 0)
    say(port=server.sockets[0].getsockname()[1])
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def say(**facts: Any) -> None:
    """One line for the main program."""
    print(json.dumps(facts), flush=True)


def ours(kind: str) -> None:
    """A station with one of our servers."""
    with station() as (shown, models, links):
        access = Access(writable=["Tags.*"], limits=LIMITS)
        server, facts = (ads if kind == "ads" else modbus)(shown, models, access)
        serving = Serving({kind: server}, links)
        serving.start()
        say(port=server.address[1], **facts)
        sys.stdin.read()
        serving.stop()
        time.sleep(0.01)


def ads(shown: Database, models: Models, access: Access) -> tuple[Any, dict[str, Any]]:
    """The ADS server, on any port."""
    from plc_bindings.ads.server import AdsOptions, AdsServer

    return AdsServer(shown, models, AdsOptions(host="127.0.0.1", port=0), access), {}


def modbus(shown: Database, models: Models, access: Access) -> tuple[Any, dict[str, Any]]:
    """The Modbus server, on any port, and where its model's predict block lies."""
    from plc_bindings.modbus.server import ModbusOptions, ModbusServer, Tcp

    server = ModbusServer(shown, models, ModbusOptions(Tcp(port=0)), access)
    block = server.map.blocks[0]
    return server, {"inputs": block.inputs, "outputs": block.result}


def compute() -> None:
    """What a Python thread that never waits does."""
    while True:
        sum(range(1000))


if __name__ == "__main__":
    if sys.argv[-1] == "busy":
        threading.Thread(target=compute, daemon=True).start()
    if sys.argv[1] == "asyncio":
        asyncio.run(echo(int(sys.argv[2]), int(sys.argv[3])))
    else:
        ours(sys.argv[1])
