"""Sparkplug B, without sockets: births, data, deaths, commands, as bytes of the published schema."""

import json
import math

import pytest

from fieldbus.tags import Quality
from plc_bindings.mqtt.broker import Message
from plc_bindings.mqtt.payload import CommandError, Order, Record
from plc_bindings.mqtt.points import points
from plc_bindings.mqtt.remembered import Remembered
from plc_bindings.mqtt.schema import DataType, Payload
from plc_bindings.mqtt.sparkplug import FIRST, Sparkplug
from tests.plc_bindings.mqtt.plant import NUMBERS, Plant

WRITABLE = ("Tags.setpoint", "Tags.steps", "Tags.on", "Tasks.axis.Reset")


class Node:
    """An edge node, and the records of its newest looks."""

    def __init__(self, **more):
        self.plant = Plant()
        self.points = points(self.plant.database, ("Tags.*", "Tasks.*"), WRITABLE, {"Tags.temperature": 0.5})
        self.now = {}
        self.spark = Sparkplug("plant", "press", self.points, self.now.get, now_ms=lambda: 1000, **more)
        self.look()

    def look(self, time_ms=1000):
        """What is new: records."""
        records = []
        for index, group in enumerate(self.points.groups):
            area = self.plant.database.areas[group.area]
            self.now[index] = Record(time_ms, index, area.quality, list(group.values(area.data)))
            if changes := group.changed(area.data, area.quality):
                records.append(Record(time_ms, index, area.quality, changes))
        return records

    def alias(self, name):
        return self.points.by_name[name.lower()].index + 1


def read(message):
    """{metric's name or alias: metric}"""
    payload = Payload.FromString(message.payload)
    return {metric.name or metric.alias: metric for metric in payload.metrics}, payload


def properties(metric):
    return {
        key: getattr(value, value.WhichOneof("value"))
        for key, value in zip(metric.properties.keys, metric.properties.values, strict=True)
    }


def test_births_tell_all_metrics_with_alias_type_unit_range_and_quality():
    node = Node()
    node.spark.will()
    births = node.spark.births(2000)
    assert [m.topic for m in births] == [
        "spBv1.0/plant/NBIRTH/press", "spBv1.0/plant/DBIRTH/press/press", "spBv1.0/plant/DBIRTH/press/orders"
    ]  # fmt: skip
    assert all(m.qos == 0 and not m.retain for m in births)
    (metrics, payload), (device, first), (orders, second) = map(read, births)
    assert (payload.seq, first.seq, second.seq) == (0, 1, 2)
    assert metrics["bdSeq"].long_value == 0
    assert metrics["bdSeq"].datatype == DataType.INT64
    assert metrics["Node Control/Rebirth"].datatype == DataType.BOOLEAN
    types = [metrics[f"Tasks/axis/n_{s.name}"].datatype for s in NUMBERS]
    assert types == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
    assert metrics["Tasks/axis/Name"].datatype == 12
    assert device["Tags/temperature"].double_value == 21.5
    assert device["Tags/row[1]"].int_value == 2**32 - 2
    assert properties(device["Tags/temperature"]) == {"Quality": 192, "readOnly": True, "engUnit": "degC"}
    assert properties(orders["Tags/setpoint"]) == {
        "Quality": 192, "readOnly": False, "engUnit": "bar", "engLow": 0.0, "engHigh": 10.0
    }  # fmt: skip
    aliases = [m.alias for found in (metrics, device, orders) for m in found.values() if m.HasField("alias")]
    assert sorted(aliases) == list(range(1, len(node.points.all) + 1))


def test_data_is_what_is_new_by_alias_and_counts_to_255():
    node = Node()
    node.spark.births(2000)
    numbers = []
    for step in range(300):
        node.plant.set(30.0 + step)
        (record,) = node.look(3000 + step)
        (message,) = node.spark.data(record, False)
        metrics, payload = read(message)
        assert message.topic == "spBv1.0/plant/DDATA/press/press"
        metric = metrics[node.alias("Tags.temperature")]
        assert (metric.double_value, metric.timestamp) == (30.0 + step, 3000 + step)
        assert metric.datatype == DataType.DOUBLE
        assert not metric.HasField("is_historical")
        assert not metric.HasField("properties")
        numbers.append(payload.seq)
    assert numbers == [n % 256 for n in range(3, 303)]


def test_a_value_within_the_deadband_is_not_new():
    node = Node()
    node.look()
    node.plant.set(21.9)
    assert node.look() == []
    node.plant.set(22.1)
    assert len(node.look()) == 1
    node.plant.set(math.nan)
    assert len(node.look()) == 1
    assert node.look() == []


def test_a_deadband_is_for_whole_numbers_too():
    plant = Plant()
    group = points(plant.database, ("Tags.*",), (), {"Tags.row*": 2, "Tags.running": 2}).groups[0]
    group.changed(plant.sensors.data, Quality.GOOD)
    plant.set(21.5, running=False, row=(3, 1, 3))
    assert [(p.name, value) for p, value in group.changed(plant.sensors.data, Quality.GOOD)] == [
        ("Tags.running", False),
        ("Tags.row[1]", 1),
    ]


def test_bad_quality_is_the_death_of_a_device_and_its_return_a_birth():
    node = Node()
    node.spark.births(2000)
    node.look()
    node.plant.sensors.quality = Quality.BAD
    (record,) = node.look()
    (death,) = node.spark.data(record, False)
    assert death.topic == "spBv1.0/plant/DDEATH/press/press"
    assert [m.topic.split("/")[2] for m in node.spark.births(2500)] == ["NBIRTH", "DBIRTH"]
    node.plant.sensors.quality = Quality.STALE
    (record,) = node.look()
    (birth,) = node.spark.data(record, False)
    assert birth.topic == "spBv1.0/plant/DBIRTH/press/press"
    assert properties(read(birth)[0]["Tags/temperature"])["Quality"] == 500
    node.plant.sensors.quality = Quality.GOOD
    (record,) = node.look()
    (data,) = node.spark.data(record, False)
    assert properties(read(data)[0][node.alias("Tags.temperature")]) == {"Quality": 192}


def test_history_says_so_and_needs_a_device():
    node = Node()
    node.plant.sensors.quality = Quality.BAD
    node.look()
    node.spark.births(2000)
    old = Record(500, 0, Quality.GOOD, [(node.points.by_name["tags.temperature"], 7.0)])
    birth, data = node.spark.data(old, True)
    assert birth.topic.split("/")[2] == "DBIRTH"
    metric = read(data)[0][node.alias("Tags.temperature")]
    assert (metric.is_historical, metric.timestamp, properties(metric)) == (True, 500, {"Quality": 192})
    (death,) = node.spark.history_ends(2001)
    assert death.topic == "spBv1.0/plant/DDEATH/press/press"
    assert node.spark.history_ends(2002) == []


def test_the_will_has_the_number_of_the_connection_that_its_birth_has():
    node = Node()
    for number in (*range(256), 0, 1):
        will = node.spark.will()
        assert (will.topic, will.qos, will.retain) == ("spBv1.0/plant/NDEATH/press", 1, False)
        assert read(will)[0]["bdSeq"].long_value == number
        assert read(node.spark.births(1)[0])[0]["bdSeq"].long_value == number
        assert read(node.spark.death())[0]["bdSeq"].long_value == number


def command(device="", **metrics):
    payload = Payload(timestamp=1)
    for name, value in metrics.items():
        payload.metrics.add(name=name, **value)
    kind = f"DCMD/press/{device}" if device else "NCMD/press"
    return Message(f"spBv1.0/plant/{kind}", payload.SerializeToString())


def test_commands_write_what_is_writable():
    node = Node()
    order = node.spark.command(
        command(
            "orders",
            **{
                "Tags/setpoint": {"double_value": 2.5},
                "Tags/steps": {"int_value": 2**32 - 7, "datatype": 3},
                "Tags/on": {"boolean_value": True},
            },
        )
    )
    assert [(p.name, data) for p, data in order.writes] == [
        ("Tags.setpoint", b"\0\0\x20\x40"), ("Tags.steps", b"\xf9\xff\xff\xff"), ("Tags.on", b"\1")
    ]  # fmt: skip
    assert node.spark.command(command(**{"Node Control/Rebirth": {"boolean_value": True}})) == Order(rebirth=True)
    assert node.spark.command(command(**{"Node Control/Rebirth": {"boolean_value": False}})) == Order()
    by_alias = Payload()
    by_alias.metrics.add(alias=node.alias("Tasks.axis.Reset"), boolean_value=True)
    order = node.spark.command(Message("spBv1.0/plant/NCMD/press", by_alias.SerializeToString()))
    assert [p.name for p, _ in order.writes] == ["Tasks.axis.Reset"]


@pytest.mark.parametrize(
    ("device", "metrics", "why"),
    [
        ("press", {"Tags/temperature": {"double_value": 1.0}}, "not writable"),
        ("", {"Tags/setpoint": {"double_value": 1.0}}, "metric of orders, not of the node"),
        ("press", {"Tags/setpoint": {"double_value": 1.0}}, "metric of orders, not of press"),
        ("orders", {"Tags/setpoint": {"double_value": 10.5}}, "outside of 0 to 10"),
        ("orders", {"Tags/setpoint": {"double_value": math.nan}}, "no number"),
        ("orders", {"Tags/setpoint": {"string_value": "1"}}, "is a REAL, not '1'"),
        ("orders", {"Tags/setpoint": {"boolean_value": True}}, "is a REAL, not True"),
        ("orders", {"Tags/setpoint": {}}, "no value"),
        ("orders", {"Tags/setpoint": {"is_null": True, "double_value": 1.0}}, "no value"),
        ("orders", {"Tags/steps": {"long_value": 2**31, "datatype": 8}}, "outside of"),
        ("orders", {"Tags/steps": {"double_value": 0.5}}, "is a DINT, not 0.5"),
        ("orders", {"Tags/on": {"int_value": 1}}, "is a BOOL, not 1"),
        ("", {"Node Control/Reboot": {"boolean_value": True}}, "there is no 'Node Control/Reboot'"),
        ("", {"Tasks/axis/Nothing": {"boolean_value": True}}, "there is no"),
        ("", {}, "no metrics"),
    ],
)
def test_other_commands_are_refused_with_the_reason(device, metrics, why):
    with pytest.raises(CommandError, match=why):
        Node().spark.command(command(device, **metrics))


@pytest.mark.parametrize("metric", [{"Node Control/Rebirth": {"boolean_value": True}}, {}])
def test_a_command_that_the_broker_kept_is_an_old_one(metric):
    """A broker gives it again at every connection."""
    device = "" if metric else "orders"
    old = command(device, **(metric or {"Tags/setpoint": {"double_value": 2.5}}))
    assert Node().spark.command(old)
    with pytest.raises(CommandError, match="retained"):
        Node().spark.command(Message(old.topic, old.payload, retain=True))


def test_one_bad_value_refuses_the_whole_command():
    both = command("orders", **{"Tags/setpoint": {"double_value": 2.5}, "Tags/steps": {"double_value": 0.5}})
    with pytest.raises(CommandError, match="steps"):
        Node().spark.command(both)


def test_bytes_that_are_no_payload_are_refused():
    with pytest.raises(CommandError, match="no Sparkplug payload"):
        Node().spark.command(Message("spBv1.0/plant/NCMD/press", b"\xff\xff\xff"))


@pytest.mark.parametrize(
    "payload",
    [b"\x12\x06\x0a\x04Tag\xff", b"\x12\x12\x0a\x0dTags/setpoint\x7a\x01\xff"],
    ids=["name", "value"],
)
def test_texts_that_are_no_utf8_are_refused(payload):
    with pytest.raises(CommandError, match="no UTF-8"):
        Node().spark.command(Message("spBv1.0/plant/DCMD/press/orders", payload))


def test_the_primary_host_says_whether_it_is_there():
    node = Node(host="scada")
    topic = "spBv1.0/STATE/scada"
    assert topic in node.spark.topics()

    def state(**said):
        return node.spark.command(Message(topic, json.dumps(said).encode())).host_is_up

    assert state(online=False, timestamp=5) is False
    assert state(online=True, timestamp=6) is True
    for said in ({"online": False, "timestamp": 5}, {"online": 1, "timestamp": 9}, {"online": True}, {"timestamp": 9}):
        with pytest.raises(CommandError, match="STATE"):
            state(**said)
    with pytest.raises(CommandError, match="STATE"):
        node.spark.command(Message(topic, b"OFFLINE"))
    assert state(online=False, timestamp=2**60) is False
    node.spark.will()  # another connection: a host whose clock was wrong is not shut out for ever
    assert state(online=True, timestamp=7) is True


def test_the_number_of_a_connection_goes_on_after_a_restart(tmp_path):
    """With a file: a death that the broker says late is of no connection that is (3.0, 6.4.19)."""
    for number in (0, 1, 2):
        node = Node(bd_seq=Remembered(tmp_path / "number", *FIRST))
        assert read(node.spark.will())[0]["bdSeq"].long_value == number
