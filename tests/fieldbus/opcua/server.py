"""A server of asyncua's own in a thread, with faults that can be planted: what the link is tested against."""

import asyncio
import threading
from contextlib import contextmanager
from datetime import UTC, datetime

from asyncua import Server, ua

from tests.waiting import PATIENCE_S, free_port

URI = "http://example.org/line"
TYPES = {"speed": (10, 1.5), "count": (6, 7), "on": (1, True), "level": (11, 2.5), "word": (5, 9), "big": (8, 1 << 40)}
OUTPUTS = {"set": 0.0, "sets": [0.0, 0.0]}


class PlantedServer:
    """`Line` with a variable for each of `TYPES`, an array `temps`, an enumeration `state`, a text; outputs `set`, `sets`."""

    def __init__(self, port=0, before=0, many=0, own=None, policies=None, users=None):
        self.port = port or free_port()
        self.url = f"opc.tcp://127.0.0.1:{self.port}"
        self._before, self._many, self._own, self._policies, self._users = before, many, own, policies, users
        self.loop = asyncio.new_event_loop()
        self.nodes = {}
        self._ready, self._error = threading.Event(), None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(5 * PATIENCE_S)  # it works for seconds on a machine of its own
        if self._error:
            raise self._error
        return self

    def __exit__(self, *_):
        self.do(self.server.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)

    def _run(self):
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self._start())
        except BaseException as error:
            self._error = error
            self._ready.set()
            return
        self._ready.set()
        self.loop.run_forever()
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.loop.close()

    async def _start(self):
        self.server = Server(user_manager=self._users)
        await self.server.init()
        self.server.iserver.aspace._is_expected_variant_type = lambda *_: True  # it may lie about types
        self.server.set_endpoint(self.url)
        self.server.set_security_policy(self._policies or [ua.SecurityPolicyType.NoSecurity])
        if self._own is not None:
            await self.server.set_application_uri(self._own.uri)
            await self.server.load_certificate(str(self._own.path))
            await self.server.load_private_key(str(self._own.key_path))
        for number in range(self._before):
            await self.server.register_namespace(f"urn:before:{number}")
        space = self.space = await self.server.register_namespace(URI)
        line = await self.server.nodes.objects.add_object(ua.NodeId("Line", space), f"{space}:Line")
        for name, (kind, value) in TYPES.items():
            await self._add(line, name, value, ua.VariantType(kind))
        await self._add(line, "temps", [1.0, 2.0, 3.0, 4.0], ua.VariantType.Float)
        await self._add(line, "state", 2, ua.VariantType.Int32, ua.NodeId(ua.ObjectIds.ServerState))
        await self._add(line, "text", "hello", ua.VariantType.String)
        for name, value in OUTPUTS.items():
            await (await self._add(line, name, value, ua.VariantType.Float)).set_writable()
        for number in range(self._many):
            await self._add(line, f"n{number}", float(number), ua.VariantType.Float)
        await self.server.start()

    async def _add(self, parent, name, value, kind, data_type=None):
        node = await parent.add_variable(
            ua.NodeId(f"Line.{name}", self.space), f"{self.space}:{name}", value, kind, data_type
        )
        self.nodes[name] = node
        return node

    def do(self, coroutine, seconds=20):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(seconds)

    def set(self, name, value, status=0, kind=None, source=None):
        """The value of a variable, with any status and type."""
        if kind is None:
            kind = self.do(self.nodes[name].read_data_type_as_variant_type())
        data = ua.DataValue(
            ua.Variant(value, kind), ua.StatusCode(ua.UInt32(status)), SourceTimestamp=source or datetime.now(UTC)
        )
        self.do(self._write(name, data))

    def as_new(self):
        """Every variable has the value that it began with; for tests that share a server."""
        for name, (kind, value) in TYPES.items():
            self.set(name, value, kind=ua.VariantType(kind))
        for name, value in OUTPUTS.items():
            self.set(name, value, kind=ua.VariantType.Float)

    async def _write(self, name, data):
        await self.server.write_attribute_value(self.nodes[name].nodeid, data)

    def get(self, name):
        return self.do(self.nodes[name].read_value())

    def hang(self, seconds):
        """The server does nothing for a while, its connections stay."""
        import time

        self.loop.call_soon_threadsafe(time.sleep, seconds)

    def mute(self):
        """It goes on to answer questions, and never tells anything again."""

        async def mute():
            for sub in self.server.iserver.subscription_service.subscriptions.values():
                await sub.stop()

        self.do(mute())


@contextmanager
def serving(**options):
    with PlantedServer(**options) as server:
        yield server
