"""How long a call over HTTP takes, beside a bare aiohttp server that sends the same body back: `python -m benchmarks.http_calls`.

Both serve in one process; one client, another process, asks them in turns over blocking sockets. `--peer URL` asks another server of
the protocol too, in the same turns, with the same bodies.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from aiohttp import web

import rt_engine
from benchmarks.models import mlp
from plc_bindings.data.models import Models
from plc_bindings.http.server import HttpOptions, HttpServer
from plc_bindings.security.access import Access, Limits
from plc_bindings.web.apart import Place

PATH = "/v2/models/policy/infer"
TURN = 200


def bodies(features: int, rows: int = 1) -> dict[str, tuple[bytes, dict[str, str]]]:
    """Kind of body -> (body, headers)."""
    x = np.random.default_rng(1).normal(size=(rows, features)).astype(np.float32)
    tensor: dict[str, Any] = {"name": "x", "datatype": "FP32", "shape": [rows, features]}
    text = json.dumps({"inputs": [tensor | {"data": x.reshape(-1).tolist()}]}).encode()
    head = {
        "inputs": [tensor | {"parameters": {"binary_data_size": x.nbytes}}],
        "parameters": {"binary_data_output": True},
    }
    said = json.dumps(head).encode()
    length = {"Inference-Header-Content-Length": str(len(said)), "Content-Type": "application/octet-stream"}
    return {"JSON": (text, {"Content-Type": "application/json"}), "binary": (said + x.tobytes(), length)}


class Asker:
    """One connection that sends the same request again and again."""

    def __init__(self, host: str, port: int, body: bytes, headers: Mapping[str, str]) -> None:
        lines = [f"POST {PATH} HTTP/1.1", f"Host: {host}:{port}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._request = "\r\n".join([*lines, "", ""]).encode() + body
        self._socket = socket.create_connection((host, port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self) -> int:
        """Nanoseconds until the whole answer is there."""
        begin = time.perf_counter_ns()
        self._socket.sendall(self._request)
        data = self._socket.recv(1 << 20)
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._socket.recv(1 << 20)
        head = data[:end].lower()
        assert head.startswith(b"http/1.1 200"), data[:500]
        at = head.index(b"\ncontent-length:") + 16
        wanted = end + 4 + int(head[at:].split(b"\r\n")[0])
        got = len(data)
        while got < wanted:
            got += len(self._socket.recv(1 << 20))
        return time.perf_counter_ns() - begin


def client(places: Mapping[str, tuple[str, int]], given: argparse.Namespace, answers: Any) -> None:
    """Ask all in turns; put {kind of body: {server: nanoseconds}} into the queue."""
    found: dict[str, dict[str, list[int]]] = {}
    for kind in given.kinds:
        body, headers = bodies(given.features, given.rows)[kind]
        askers = {name: Asker(*place, body, headers) for name, place in places.items()}
        times: dict[str, list[int]] = {name: [] for name in places}
        for turn in range(max(given.requests // TURN, 1) + 1):
            for name, asker in askers.items():
                taken = [asker.ask() for _ in range(min(TURN, given.requests))]
                if turn:
                    times[name] += taken
        found[kind] = times
    answers.put(found)


async def bare(port: int = 0) -> tuple[web.AppRunner, int]:
    """A bare aiohttp server, as anybody would write it: one route that sends the body back."""

    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=await request.read(), content_type="application/json")

    app = web.Application(client_max_size=1 << 28)
    app.router.add_post(PATH, echo)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    return runner, runner.addresses[0][1]


def measured(places: Mapping[str, tuple[str, int]], given: argparse.Namespace) -> dict[str, dict[str, list[int]]]:
    """Times of a client in a process of its own."""
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    process = context.Process(target=client, args=(places, given, answers))
    process.start()
    while process.is_alive() and answers.empty():
        time.sleep(0.1)
    if answers.empty():
        raise SystemExit("a server did not answer with 200: the client says more above")
    found: dict[str, dict[str, list[int]]] = answers.get()
    process.join()
    return found


def told(found: Mapping[str, Mapping[str, Sequence[int]]]) -> None:
    """Percentiles, and ratios to the echo: p5 is what no other program disturbed."""
    for kind, times in found.items():
        yardstick = np.percentile(times["echo"], [5, 50])
        for name, ns in times.items():
            p5, p50, p99 = np.percentile(ns, [5, 50, 99])
            ratios = f"{p5 / yardstick[0]:.2f} and {p50 / yardstick[1]:.2f} x echo"
            print(f"{kind:8} {name:10} p5 {p5 / 1e3:8.1f}  p50 {p50 / 1e3:8.1f}  p99 {p99 / 1e3:8.1f} us   {ratios}")


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--features", type=int, default=16)
    parser.add_argument("--rows", type=int, default=1)
    parser.add_argument("--kinds", nargs="*", default=["JSON", "binary"])
    parser.add_argument("--peer", help="http://127.0.0.1:8080, with a model policy of the same input")
    parser.add_argument("--save", help="write the model there, for the peer, and end")
    given = parser.parse_args()
    proto = mlp((given.features, 64, 64, 4), "Relu")
    if given.save:
        with open(given.save, "wb") as file:
            file.write(proto.SerializeToString())
        return
    limits = Limits(requests_per_second=1_000_000, batch=65536)
    slots = {"policy": rt_engine.ModelSlot(rt_engine.load(proto))}
    server = HttpServer(Models(slots), HttpOptions(Place(port=0), body_bytes=1 << 28), Access(limits=limits))
    await server.start()
    runner, port = await bare()
    places = {"echo": ("127.0.0.1", port), "rt-engine": ("127.0.0.1", server.address[1])}
    if given.peer:
        parts = urlsplit(given.peer)
        places["peer"] = (parts.hostname or "127.0.0.1", parts.port or 80)
    loop = asyncio.get_running_loop()
    threads = {thread.name: thread.ident or 0 for thread in threading.enumerate()}
    clocks = [time.pthread_getcpuclockid(threads[name]) for name in ("MainThread", "http")]
    for kind in given.kinds:
        before = [time.clock_gettime(clock) for clock in clocks]
        given.kinds = [kind]
        told(await loop.run_in_executor(None, measured, places, given))
        echo, ours = (time.clock_gettime(clock) - begin for clock, begin in zip(clocks, before, strict=True))
        print(f"{kind:8} processor time of the server {ours / echo:.2f} x echo")
    await server.stop()
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
