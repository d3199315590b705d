"""A server of kind MQTT at a broker that we did not write: births, data, commands, what waits while the broker is away."""

import asyncio
import json
import os
import signal
import struct
import threading
import time

import pytest

from fieldbus.tags import Quality
from plc_bindings.errors import ServerError
from plc_bindings.mqtt.broker import BrokerOptions
from plc_bindings.mqtt.options import MqttOptions
from plc_bindings.mqtt.schema import Payload
from plc_bindings.mqtt.server import MqttServer
from plc_bindings.mqtt.uplink import REBIRTH_S
from plc_bindings.security.access import Access
from tests.peers.mosquitto import Mosquitto
from tests.plc_bindings.mqtt.listening import listening
from tests.plc_bindings.mqtt.plant import Plant, serving, wait

pytestmark = pytest.mark.peer("mosquitto")
TEMPERATURE = "Tags.temperature"


@pytest.fixture
def mosquitto(tmp_path):
    with Mosquitto(tmp_path) as broker:
        yield broker


def kinds(heard):
    return [topic.split("/")[2] for topic, *_ in list(heard) if topic.startswith("spBv1.0/plant")]


def settled(heard, server):
    """All that was there at the beginning has been told."""
    return len(heard) >= 3 and not len(server.uplink.store)


def temperatures(heard, server):
    """(value, is it historical) of DDATA, in order."""
    alias = next(p.index + 1 for p in server._points.all if p.name == TEMPERATURE)
    metrics = [m for payload in heard.payloads("DDATA") for m in Payload.FromString(payload).metrics]
    return [(m.double_value, m.is_historical) for m in metrics if m.alias == alias]


def test_births_data_and_an_orderly_end(mosquitto):
    plant = Plant()
    with listening(mosquitto.port, "spBv1.0/#") as (_, heard):
        with serving(plant, mosquitto.port) as server:
            wait(lambda: len(heard) >= 3)
            assert kinds(heard)[:3] == ["NBIRTH", "DBIRTH", "DBIRTH"]
            plant.set(30.0)
            wait(lambda: temperatures(heard, server)[-1:] == [(30.0, False)])
            plant.sensors.quality = Quality.BAD
            wait(lambda: "DDEATH" in kinds(heard))
            wait(lambda: not len(server.uplink.store))
            status = server.status()
            assert (status.clients, status.trouble, status.gauges["stored_records"]) == (1, "", 0)
            assert status.counts["messages"] == len(heard)
        wait(lambda: kinds(heard)[-1] == "NDEATH")
        assert kinds(heard).count("NDEATH") == 1  # the will is not said beside it
        payloads = [Payload.FromString(payload) for _, payload, _ in heard]
        assert [p.seq for p in payloads[:-1]] == list(range(len(payloads) - 1))
        assert payloads[-1].metrics[0].long_value == payloads[0].metrics[0].long_value


def test_a_rebirth_is_said_over_the_same_connection(mosquitto):
    payload = Payload()
    payload.metrics.add(name="Node Control/Rebirth", boolean_value=True)
    with listening(mosquitto.port, "spBv1.0/#") as (client, heard), serving(Plant(), mosquitto.port) as server:
        wait(lambda: settled(heard, server))
        client.publish("spBv1.0/plant/NCMD/press", payload.SerializeToString())
        wait(lambda: kinds(heard).count("NBIRTH") == 2)
        assert "NDEATH" not in kinds(heard)
        assert server.status().counts["connects"] == 1
        births = [Payload.FromString(payload) for payload in heard.payloads("NBIRTH")]
        assert [(b.seq, b.metrics[0].long_value) for b in births] == [(0, 0), (0, 0)]


def test_many_who_ask_for_births_at_once_get_the_same(mosquitto):
    """Births are the dearest thing that others can ask for."""
    plant, begun_s = Plant(), time.monotonic()
    with listening(mosquitto.port, "spBv1.0/#") as (client, heard), serving(plant, mosquitto.port) as server:
        wait(lambda: settled(heard, server))
        payload = Payload()
        payload.metrics.add(name="Node Control/Rebirth", boolean_value=True)
        for _ in range(50):
            client.publish("spBv1.0/plant/NCMD/press", payload.SerializeToString(), 1)
        wait(lambda: server.status().requests == 50)
        wait(lambda: kinds(heard).count("NBIRTH") > 1)
        births, connects = server.uplink.births, server.status().counts["connects"]
        assert births <= connects + (time.monotonic() - begun_s) / REBIRTH_S, "one a second, however many ask"


def test_commands_are_written_at_once_or_refused_and_noted(mosquitto):
    plant = Plant()
    with listening(mosquitto.port, "spBv1.0/#") as (client, heard), serving(plant, mosquitto.port) as server:
        wait(lambda: settled(heard, server))

        def command(**values):
            payload = Payload()
            for name, value in values.items():
                payload.metrics.add(name=f"Tags/{name}", double_value=value)
            client.publish("spBv1.0/plant/DCMD/press/orders", payload.SerializeToString(), 1)

        command(setpoint=2.5, steps=7.0)
        wait(lambda: plant.orders.written)
        assert plant.orders.written == [[(0, 4), (4, 4)]]
        command(setpoint=99.0)
        wait(lambda: server.status().refused == 1)
        assert len(plant.orders.written) == 1
        assert [line[1:] for line in plant.audit] == [
            ("write of Tags.setpoint", "done: spBv1.0/plant/DCMD/press/orders"),
            ("write of Tags.steps", "done: spBv1.0/plant/DCMD/press/orders"),
            ("command at spBv1.0/plant/DCMD/press/orders", "refused: Tags.setpoint: 99.0 is outside of 0 to 10"),
        ]
        assert {line[0] for line in plant.audit} == {f"mqtt 127.0.0.1:{mosquitto.port}"}
        wait(lambda: any(m.float_value == 2.5 for p in heard.payloads("DDATA") for m in Payload.FromString(p).metrics))


def test_a_command_that_was_refused_is_not_carried_out_later(mosquitto, monkeypatch):
    """The servers' thread stands still for longer than a command waits; then it goes on."""
    monkeypatch.setattr("plc_bindings.mqtt.server._ANSWER_S", 0.05)
    plant, gate = Plant(), threading.Event()
    with listening(mosquitto.port, "spBv1.0/#") as (client, heard), serving(plant, mosquitto.port) as server:
        wait(lambda: settled(heard, server))
        server._servers.call_soon_threadsafe(lambda: gate.wait(60))
        payload = Payload()
        payload.metrics.add(name="Tags/steps", int_value=1)
        client.publish("spBv1.0/plant/DCMD/press/orders", payload.SerializeToString(), 1)
        wait(lambda: server.status().refused == 1)
        assert plant.audit[-1][2] == "refused: the servers' thread did not answer"
        gate.set()
        for _ in range(2):  # it has done all that it was asked to
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), server._servers).result(60)
        assert plant.orders.written == []


def made():
    """A server that is not started."""
    options = MqttOptions(BrokerOptions("127.0.0.1", 1883), group="plant", node="press", publish=("Tags.*",))
    return MqttServer(Plant().database, options, Access())


def test_a_command_whose_values_are_being_written_is_not_refused(monkeypatch):
    """Its time ends meanwhile: it has been carried out, so that is told."""
    monkeypatch.setattr("plc_bindings.mqtt.server._ANSWER_S", 0.01)
    server, begun, may_end = made(), threading.Event(), threading.Event()

    class Servers:
        """Has begun to write when it returns."""

        def call_soon_threadsafe(self, write):
            threading.Thread(target=write, daemon=True).start()
            assert begun.wait(60)

    def written(_):
        begun.set()
        may_end.wait(60)

    async def carry_out():
        asyncio.get_running_loop().call_later(0.2, may_end.set)
        await server._carry_out([])

    server._servers = Servers()
    monkeypatch.setattr(server, "_written", written)
    asyncio.run(carry_out())


def test_a_system_that_gives_no_thread_is_told_at_the_start(monkeypatch):
    """At once, with what helps, as every server does; not as servers that did not start in time."""

    def no_thread(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    with pytest.raises(OSError, match=r"no thread for MQTT.*ulimit -u"):
        asyncio.run(made().start())


def test_more_commands_than_may_come_are_refused(mosquitto):
    plant = Plant()
    with listening(mosquitto.port, "spBv1.0/#") as (client, heard), serving(plant, mosquitto.port, rate=5) as server:
        wait(lambda: settled(heard, server))
        payload = Payload()
        payload.metrics.add(name="Tags/steps", int_value=1)
        for _ in range(50):
            client.publish("spBv1.0/plant/DCMD/press/orders", payload.SerializeToString(), 1)
        wait(lambda: server.status().refused + server.status().requests == 50)
        assert 5 <= server.status().requests < 50
        assert "refused: more than 5 commands in a second" in [outcome for *_, outcome in plant.audit]


def test_nothing_is_lost_while_the_broker_is_away_and_it_comes_in_order(mosquitto):
    plant = Plant()
    with serving(plant, mosquitto.port) as server:
        with listening(mosquitto.port, "spBv1.0/#") as (_, heard):
            wait(lambda: settled(heard, server))
            mosquitto.stop()
        wait(lambda: not server.uplink.is_born)
        for step in range(20):
            wait(lambda step=step: len(server.uplink.store) >= step)
            plant.set(100.0 + step)
        wait(lambda: "refused" in server.status().trouble)
        mosquitto.start()
        with listening(mosquitto.port, "spBv1.0/#") as (_, heard):
            wait(lambda: len(temperatures(heard, server)) >= 20 or server.status().counts["births"] > 1)
            plant.set(300.0)
            wait(lambda: (300.0, False) in temperatures(heard, server))
    # the listener may have come after the birth: what it heard is whole from there on
    found = temperatures(heard, server)
    values = [value for value, _ in found]
    assert values == sorted(values)
    assert found[-1] == (300.0, False)
    assert server.status().counts["dropped_records"] == 0


def test_history_is_whole_where_a_host_waits_for_it(mosquitto):
    """The primary host is away first, so nobody is born, and all of it comes when it is there."""
    plant = Plant()
    with (
        listening(mosquitto.port, "spBv1.0/plant/#") as (client, heard),
        serving(plant, mosquitto.port, host="scada") as server,
    ):
        for step in range(20):
            wait(lambda step=step: len(server.uplink.store) >= step + 3)
            plant.set(100.0 + step)
        wait(lambda: len(server.uplink.store) == 23)
        assert heard == []
        say(client, True, 1)
        wait(lambda: server.uplink.is_born)
        plant.set(300.0)
        wait(lambda: (300.0, False) in temperatures(heard, server))
        expected = [(21.5, True), *((100.0 + step, True) for step in range(20)), (300.0, False)]
        assert temperatures(heard, server) == expected
        say(client, False, 2)
        wait(lambda: kinds(heard)[-1] == "NDEATH")
        wait(lambda: not server.uplink.is_born)
        plant.set(400.0)
        say(client, True, 3)
        wait(lambda: kinds(heard).count("NBIRTH") == 2)
        births = [Payload.FromString(payload).metrics[0].long_value for payload in heard.payloads("NBIRTH")]
        assert births[1] > births[0]


def test_a_flood_of_commands_hides_no_host_that_goes(mosquitto):
    plant = Plant()
    with (
        listening(mosquitto.port, "spBv1.0/plant/#") as (client, heard),
        serving(plant, mosquitto.port, host="scada", rate=1) as server,
    ):
        say(client, True, 1)
        wait(lambda: server.uplink.is_born)
        for _ in range(20):
            client.publish("spBv1.0/plant/DCMD/press/orders", b"", 1)
        say(client, False, 2)
        wait(lambda: "NDEATH" in kinds(heard))


def say(client, online, timestamp):
    client.publish("spBv1.0/STATE/scada", json.dumps({"online": online, "timestamp": timestamp}), 1, retain=True)


def test_what_waits_survives_a_restart(mosquitto, tmp_path):
    plant = Plant()
    file = tmp_path / "press.waiting"
    mosquitto.stop()
    with serving(plant, mosquitto.port, store_file=file) as server:
        for step in range(5):
            wait(lambda step=step: len(server.uplink.store) >= step + 3)
            plant.set(100.0 + step)
    assert file.stat().st_size > 0
    mosquitto.start()
    with (
        listening(mosquitto.port, "spBv1.0/plant/#") as (_, heard),
        serving(plant, mosquitto.port, store_file=file) as server,
    ):
        wait(lambda: len(temperatures(heard, server)) >= 6)
        wait(lambda: not len(server.uplink.store))
        wait(lambda: file.stat().st_size == 0)
    assert temperatures(heard, server)[:6] == [(21.5, True), *((100.0 + step, True) for step in range(5))]


def test_a_broker_that_stands_still_loses_nothing(mosquitto):
    """Half open: TCP takes what nobody reads. It is missed by the next confirmation, and sent again."""
    plant = Plant()
    with listening(mosquitto.port, "spBv1.0/plant/#") as (_, heard), serving(plant, mosquitto.port) as server:
        wait(lambda: settled(heard, server))
        os.kill(mosquitto.pid, signal.SIGSTOP)
        try:
            plant.set(50.0)
            wait(lambda: len(server.uplink.store) == 1)
            time.sleep(0.2)
            assert len(server.uplink.store) == 1  # sent, and not forgotten
        finally:
            os.kill(mosquitto.pid, signal.SIGCONT)
        wait(lambda: not len(server.uplink.store))
        wait(lambda: 50.0 in [value for value, _ in temperatures(heard, server)])


def test_a_broker_that_hangs_at_the_end_costs_nothing_with_a_file(mosquitto, tmp_path):
    """The program ends before a broker's answer is given up; what it does not have is in the file by then."""
    plant, file = Plant(), tmp_path / "press.waiting"
    with listening(mosquitto.port, "spBv1.0/plant/#") as (_, heard):
        with serving(plant, mosquitto.port, store_file=file) as server:
            wait(lambda: settled(heard, server))
            os.kill(mosquitto.pid, signal.SIGSTOP)
            plant.set(50.0)
            wait(lambda: len(server.uplink.store) == 1)
        size = file.stat().st_size if file.exists() else 0
        os.kill(mosquitto.pid, signal.SIGCONT)
    assert size > 0


def test_plain_topics_are_retained_and_take_commands(mosquitto):
    plant = Plant()
    with serving(plant, mosquitto.port, payload="json", group="works/hall") as server:
        wait(lambda: server.uplink.is_born)
        with listening(mosquitto.port, "works/#") as (client, heard):
            wait(lambda: heard.payloads("/status"))
            wait(lambda: heard.payloads("/Tags/temperature"))
            topic, payload, retained = next(one for one in heard if one[0].endswith("temperature"))
            said = json.loads(payload)
            assert (topic, retained) == ("works/hall/press/Tags/temperature", True)
            assert (said["value"], said["unit"], said["quality"]) == (21.5, "degC", "good")
            assert said["time"].endswith("Z")
            client.publish("works/hall/press/set/Tags/setpoint", b'{"value": 4}', 1)
            client.publish("works/hall/press/set/Tags/steps", b"-3", 1)
            wait(lambda: len(plant.orders.written) == 2)
            wait(lambda: any(json.loads(p)["value"] == -3 for p in heard.payloads("press/Tags/steps")))
            for bad in (b"x", b"1e999", b'"7"', b"[1]", b"null", b"1.5", b"99999999999"):
                client.publish("works/hall/press/set/Tags/steps", bad, 1)
            wait(lambda: server.status().refused == 7)
            assert len(plant.orders.written) == 2
    with listening(mosquitto.port, "works/hall/press/status") as (_, heard):
        wait(lambda: "offline" in [json.loads(payload)["state"] for payload in heard.payloads("/status")])


def test_a_broker_that_ends_every_connection_costs_nothing_that_fits(mosquitto):
    """Each time as soon as data comes: what was sent over one that ended is sent again."""
    plant = Plant()
    with listening(mosquitto.port, "spBv1.0/plant/#") as (_, heard), serving(plant, mosquitto.port) as server:
        for step in range(6):
            wait(lambda: server.uplink.is_born)
            before = server.uplink.store.end
            plant.set(100.0 + step)
            wait(lambda before=before: server.uplink.store.end > before)
            server._own.call_soon_threadsafe(server.uplink.broker.leave, "for a test")
        plant.set(300.0)
        wait(lambda: (300.0 in [value for value, _ in temperatures(heard, server)]) and not len(server.uplink.store))
        told = {value for value, _ in temperatures(heard, server)}
    assert told >= {100.0 + step for step in range(6)}


def test_patterns_that_mean_nothing_are_an_error():
    with pytest.raises(ServerError, match="means no value"), serving(Plant(), 1, writable=(), publish=("Tgas.*",)):
        pass


def test_an_error_of_ours_is_told_and_not_taken_for_the_broker(mosquitto):
    plant = Plant()
    with serving(plant, mosquitto.port) as server:
        wait(lambda: server.uplink.is_born)
        server.uplink._payload.data = None
        plant.set(5.0)
        wait(lambda: server.status().trouble.startswith("error of ours, please report: TypeError"))
        assert plant.audit[-1][2].startswith("error of ours")  # before the status says so
    assert server._thread is None  # it was stopped in good order


@pytest.mark.parametrize("is_late", [False, True])
def test_no_thread_is_left(monkeypatch, is_late):
    """Also when the stop comes before it has begun."""
    before, gate, run = set(threading.enumerate()), threading.Event(), MqttServer._run

    async def late(server):
        gate.wait(60)
        await run(server)

    if is_late:
        monkeypatch.setattr(MqttServer, "_run", late)
        monkeypatch.setattr("plc_bindings.mqtt.server.LEAVE_S", 0.01)
    with serving(Plant(), 1) as server:
        wait(lambda: is_late or server.uplink.broker.counts.attempts)
    gate.set()
    wait(lambda: not [t for t in set(threading.enumerate()) - before if "mqtt" in t.name])


def test_what_changes_while_births_are_said_is_no_history(mosquitto):
    """A host that was born with the value before shows the new one."""
    plant = Plant()
    with (
        listening(mosquitto.port, "spBv1.0/#") as (client, heard),
        serving(plant, mosquitto.port, host="scada") as server,
    ):
        wait(lambda: len(server.uplink.store) == 3)
        publish = server.uplink.broker.publish

        async def slow(message):
            await publish(message)
            if "DBIRTH" in message.topic and plant.sensors.data[:8] != struct.pack("<d", 30.0):
                plant.set(30.0)
                while server.uplink.store.end == 3:
                    await asyncio.sleep(0.01)

        server.uplink.broker.publish = slow
        say(client, True, 1)
        wait(lambda: temperatures(heard, server)[-1:] == [(30.0, False)])
