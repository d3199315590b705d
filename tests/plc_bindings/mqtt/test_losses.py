"""A broker that ends connections anywhere, packets unread in its buffer: every value comes, in order, as often as need be."""

import contextlib
import random
import socket
import struct

from plc_bindings.mqtt.schema import Payload
from tests.devices import TcpDevice
from tests.plc_bindings.mqtt.plant import Plant, serving, wait

CONNECT, PUBLISH, SUBSCRIBE, UNSUBSCRIBE, PINGREQ = 0x10, 0x30, 0x80, 0xA0, 0xC0


class Careless:
    """Speaks as much MQTT 5 as is needed, and ends each connection after some packets, with a reset."""

    def __init__(self, seed, packets):
        self._chance, self._packets = random.Random(seed), packets
        self.published = []
        self._device = TcpDevice(self._serve)
        self.port, self.close = self._device.port, self._device.close

    @property
    def connections(self):
        return self._device.connections

    def _serve(self, client):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close is a reset
        with contextlib.suppress(EOFError):
            self._talk(client, self._chance.randrange(*self._packets))

    def _talk(self, client, packets):
        stream = client.makefile("rb")
        for _ in range(packets):
            kind, body = self._packet(stream)
            if kind & 0xF0 == PUBLISH:
                (length,) = struct.unpack_from(">H", body)
                at = 2 + length + (2 if kind & 0x06 else 0)
                self.published.append((body[2 : 2 + length].decode(), body[at + 1 + body[at] :]))
            answers = {CONNECT: b"\x20\x03\0\0\0", PINGREQ: b"\xd0\0", SUBSCRIBE: b"\x90\x04" + body[:2] + b"\0\0",
                       UNSUBSCRIBE: b"\xb0\x04" + body[:2] + b"\0\0"}  # fmt: skip
            client.sendall(answers.get(kind & 0xF0, b""))

    @staticmethod
    def _packet(stream):
        def exactly(count):
            if len(data := stream.read(count)) < count:
                raise EOFError
            return data

        kind, length, shift = exactly(1)[0], 0, 0
        while True:
            (byte,) = exactly(1)
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return kind, exactly(length)


def test_every_value_comes_although_connections_end_anywhere():
    plant, count = Plant(), 60
    broker = Careless(7, (8, 30))
    with serving(plant, broker.port, publish=("Tags.temperature",), writable=(), period_s=0.01) as server:
        wait(lambda: server.uplink.store.end)  # the first look, which has none of them
        for step in range(count):
            before = server.uplink.store.end
            plant.set(1000.0 + step)
            wait(lambda before=before: server.uplink.store.end > before)
        wait(lambda: not len(server.uplink.store), why=lambda: f"{len(server.uplink.store)} wait still")
        assert server.status().counts["dropped_records"] == 0
    broker.close()
    values = [
        metric.double_value
        for topic, payload in broker.published
        if "/DDATA/" in topic
        for metric in Payload.FromString(payload).metrics
    ]
    first = list(dict.fromkeys(value for value in values if value >= 1000))
    assert first == [1000.0 + step for step in range(count)]
    assert broker.connections > 3
