"""A host at the broker: paho's own client, without anything of ours."""

import contextlib
import threading

import paho.mqtt.client as mqtt


class Heard(list):
    """(topic, payload, retained) of what came, in order."""

    def payloads(self, part):
        """Of the topics that have this part."""
        return [payload for topic, payload, _ in list(self) if part in topic]


@contextlib.contextmanager
def listening(port, *topics):
    """(client, what it hears) while subscribed."""
    heard, ready = Heard(), threading.Event()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.on_connect = lambda c, *_: [c.subscribe(topic, 1) for topic in topics]
    client.on_subscribe = lambda *_: ready.set()
    client.on_message = lambda _, __, m: heard.append((m.topic, m.payload, m.retain))
    client.connect("127.0.0.1", port)
    client.loop_start()
    assert ready.wait(60)
    try:
        yield client, heard
    finally:
        client.disconnect()
        client.loop_stop()
