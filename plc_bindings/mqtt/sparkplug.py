"""Sparkplug B: a station as an edge node, its links as devices. Eclipse Sparkplug specification 3.0.0; no sockets.

    spBv1.0/GROUP/NBIRTH/NODE          all values of the station, bdSeq, Node Control/Rebirth                       seq 0
    spBv1.0/GROUP/DBIRTH/NODE/LINK     all tags of a link whose device is there                                     seq 1 ...
    spBv1.0/GROUP/NDATA/NODE           what is new, by alias            DDATA/NODE/LINK   of a link's tags          ... 255, 0, 1
    spBv1.0/GROUP/DDEATH/NODE/LINK     a link's values are bad
    spBv1.0/GROUP/NDEATH/NODE          the will, and what is said before an orderly end: bdSeq of that connection
    spBv1.0/GROUP/NCMD/NODE            from hosts: Node Control/Rebirth, writable values      DCMD/NODE/LINK
    spBv1.0/STATE/HOST                 the primary host, where there is one: nobody is born while it is away

A metric is called as the value is in `rt-engine symbols`, with `/` for dots. A link that clients write is there while the station is.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from google.protobuf.message import DecodeError

from fieldbus.tags import Quality
from plc_bindings.data.types import String
from plc_bindings.mqtt.broker import Message
from plc_bindings.mqtt.payload import CommandError, Latest, Order, Record, encoded
from plc_bindings.mqtt.points import Point, Points, Value
from plc_bindings.mqtt.remembered import Remembered
from plc_bindings.mqtt.schema import DataType
from plc_bindings.mqtt.schema import Payload as Wire

NAMESPACE: Final = "spBv1.0"
REBIRTH: Final = "Node Control/Rebirth"
FIRST: Final = (255, 255)
"""`bdSeq` before the first connection, and the greatest."""
QUALITY: Final = {Quality.GOOD: 192, Quality.STALE: 500, Quality.BAD: 0}
"""Property `Quality` (6.4.14): 192 good, 500 stale, 0 bad."""
_TYPES: Final = {
    "BOOL": (DataType.BOOLEAN, "boolean_value"),
    "SINT": (DataType.INT8, "int_value"),
    "INT": (DataType.INT16, "int_value"),
    "DINT": (DataType.INT32, "int_value"),
    "LINT": (DataType.INT64, "long_value"),
    "USINT": (DataType.UINT8, "int_value"),
    "UINT": (DataType.UINT16, "int_value"),
    "UDINT": (DataType.UINT32, "long_value"),  # as Tahu's Java and JavaScript write and read it; the table says uint32
    "ULINT": (DataType.UINT64, "long_value"),
    "REAL": (DataType.FLOAT, "float_value"),
    "LREAL": (DataType.DOUBLE, "double_value"),
}
_SIGNED: Final = {DataType.INT8: 32, DataType.INT16: 32, DataType.INT32: 32, DataType.INT64: 64}
"""Types whose numbers travel as two's complement in an unsigned field of so many bits (6.4.16)."""
_BITS: Final = {"int_value": 32, "long_value": 64}


class Sparkplug:
    """One edge node. Its own loop's thread only.

    Args:
        group, node: the ids of Sparkplug.
        points: what is published.
        latest: see there.
        host: id of the primary host; empty: there is none.
        now_ms: Unix time.
        bd_seq: `bdSeq` of the newest connection, which the next one counts on.
    """

    qos = 0

    def __init__(
        self,
        group: str,
        node: str,
        points: Points,
        latest: Latest,
        host: str = "",
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        bd_seq: Remembered | None = None,
    ) -> None:
        self._group, self._node, self._points, self._latest = group, node, points, latest
        self._state_topic = f"{NAMESPACE}/STATE/{host}" if host else ""
        self._now_ms = now_ms
        self._seq = self._host_ms = 0
        self._bd_seq = bd_seq or Remembered(None, *FIRST)
        self._alive: set[str] = set()
        self._said: dict[int, Quality] = {}
        """Group -> the quality that its values were last said to have."""

    def topics(self) -> Mapping[str, int]:
        """Commands, and the primary host's state."""
        command, device = self._topic("NCMD"), self._topic("DCMD", "+")
        return {command: 1, device: 1, **({self._state_topic: 1} if self._state_topic else {})}

    def will(self) -> Message:
        """NDEATH of the next connection, over which the host's first state counts, whatever its clock said before."""
        self._host_ms = 0
        self._bd_seq.keep((self._bd_seq.value + 1) % 256)
        return self.death()

    def death(self) -> Message:
        """NDEATH of this connection."""
        payload = Wire(timestamp=self._now_ms())
        self._add_bd_seq(payload)
        return Message(self._topic("NDEATH"), payload.SerializeToString(), qos=1)

    def births(self, time_ms: int) -> list[Message]:
        """NBIRTH, and a DBIRTH for each device that is there."""
        self._seq = 0
        self._alive.clear()
        payload = Wire(timestamp=time_ms, seq=0)
        self._add_bd_seq(payload)
        payload.metrics.add(name=REBIRTH, datatype=DataType.BOOLEAN, timestamp=time_ms, boolean_value=False)
        self._describe(payload, "")
        births = [Message(self._topic("NBIRTH"), payload.SerializeToString())]
        return births + [
            self._device_birth(device, time_ms) for device in self._points.devices if self._is_there(device)
        ]

    def data(self, record: Record, is_historical: bool) -> list[Message]:
        """NDATA or DDATA; of a device that comes or goes what Sparkplug says of it."""
        device = self._points.groups[record.group].device
        if not device:
            return [self._data("NDATA", "", record, is_historical)]
        if is_historical:
            first = [] if device in self._alive else [self._device_birth(device, record.time_ms)]
            return [*first, self._data("DDATA", device, record, is_historical)]
        if not self._is_there(device):
            return self._device_death(device, record.time_ms)
        if device not in self._alive:
            return [self._device_birth(device, record.time_ms)]
        return [self._data("DDATA", device, record, is_historical)]

    def history_ends(self, time_ms: int) -> list[Message]:
        """Devices that were born for their history alone are gone again."""
        gone = [device for device in self._points.devices if not self._is_there(device)]
        return [message for device in gone for message in self._device_death(device, time_ms)]

    def is_of_host(self, topic: str) -> bool:
        """STATE."""
        return topic == self._state_topic

    def command(self, message: Message) -> Order:
        """Of NCMD, DCMD and STATE; raises `CommandError`."""
        if self.is_of_host(message.topic):
            return self._host_state(message.payload)
        if message.retain:
            raise CommandError("a retained command is an old one; publish it without `retain`")
        kind, *_ = message.topic.removeprefix(f"{NAMESPACE}/{self._group}/").split("/")
        device = message.topic.rpartition("/")[2] if kind == "DCMD" else ""
        try:
            payload = Wire.FromString(message.payload)
        except DecodeError as error:
            raise CommandError(f"is no Sparkplug payload: {error}") from error
        writes, rebirth = [], False
        for metric in payload.metrics:
            if metric.name == REBIRTH and not device:
                rebirth = rebirth or metric.boolean_value
            else:
                point = self._meant(metric, device)
                writes.append((point, encoded(point, _value(point, metric))))
        if not payload.metrics:
            raise CommandError("has no metrics")
        return Order(tuple(writes), rebirth)

    def _meant(self, metric: Any, device: str) -> Point:
        """The point that a command names, or whose alias it has."""
        if isinstance(metric.name, bytes):  # protobuf's word for what is no UTF-8
            raise CommandError("a metric's name is no UTF-8")
        if metric.name:
            point = self._points.by_name.get(metric.name.replace("/", ".").lower())
        else:
            place = metric.alias - 1 if metric.HasField("alias") else -1
            point = self._points.all[place] if 0 <= place < len(self._points.all) else None
        called = metric.name[:100] or f"alias {metric.alias}"
        if point is None:
            raise CommandError(f"there is no {called!r} among what is published")
        of = next(group.device for group in self._points.groups if group.area == point.area)
        if of != device:
            raise CommandError(f"{called!r} is a metric of {of or 'the node'}, not of {device or 'the node'}")
        return point

    def _host_state(self, payload: bytes) -> Order:
        try:
            state = json.loads(payload)
            is_up, at_ms = state["online"], int(state["timestamp"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise CommandError(f"STATE is not {{online, timestamp}}: {error!r}") from error
        if not isinstance(is_up, bool) or at_ms < self._host_ms:
            raise CommandError("STATE is older than the last one, or `online` is neither true nor false")
        self._host_ms = at_ms
        return Order(host_is_up=is_up)

    def _topic(self, kind: str, device: str = "") -> str:
        return f"{NAMESPACE}/{self._group}/{kind}/{self._node}" + (f"/{device}" if device else "")

    def _next(self) -> int:
        self._seq = (self._seq + 1) % 256
        return self._seq

    def _add_bd_seq(self, payload: Any) -> None:
        payload.metrics.add(
            name="bdSeq", datatype=DataType.INT64, timestamp=payload.timestamp, long_value=self._bd_seq.value
        )

    def _is_there(self, device: str) -> bool:
        if self._points.devices[device]:
            return True
        records = [self._latest(i) for i, group in enumerate(self._points.groups) if group.device == device]
        return any(record is not None and record.quality != Quality.BAD for record in records)

    def _device_birth(self, device: str, time_ms: int) -> Message:
        self._alive.add(device)
        payload = Wire(timestamp=time_ms, seq=self._next())
        self._describe(payload, device)
        return Message(self._topic("DBIRTH", device), payload.SerializeToString())

    def _device_death(self, device: str, time_ms: int) -> list[Message]:
        if device not in self._alive:
            return []
        self._alive.discard(device)
        payload = Wire(timestamp=time_ms, seq=self._next())
        return [Message(self._topic("DDEATH", device), payload.SerializeToString())]

    def _describe(self, payload: Any, device: str) -> None:
        """All metrics of a node or device, with what is said of them once."""
        for index, group in enumerate(self._points.groups):
            record = self._latest(index) if group.device == device else None
            if record is None:
                continue
            self._said[index] = record.quality
            for point, value in record.changes:
                metric = payload.metrics.add(name=point.name.replace(".", "/"), alias=point.index + 1)
                metric.timestamp = record.time_ms
                _put(metric, point, value)
                for name, type_, field, said in _properties(point, record.quality):
                    metric.properties.keys.append(name)
                    metric.properties.values.add(type=type_, **{field: said})

    def _data(self, kind: str, device: str, record: Record, is_historical: bool) -> Message:
        payload = Wire(timestamp=record.time_ms, seq=self._next())
        says_quality = record.quality != self._said.get(record.group, Quality.GOOD) or is_historical
        for point, value in record.changes:
            metric = payload.metrics.add(alias=point.index + 1, timestamp=record.time_ms)
            _put(metric, point, value)
            if is_historical:
                metric.is_historical = True
            if says_quality:
                metric.properties.keys.append("Quality")
                metric.properties.values.add(type=DataType.INT32, int_value=QUALITY[record.quality])
        if not is_historical:
            self._said[record.group] = record.quality
        return Message(self._topic(kind, device), payload.SerializeToString())


def _put(metric: Any, point: Point, value: Value) -> None:
    """The value of a metric, with its type: in data it should not be there (6.4.6), but the JavaScript library reads none without."""
    type_, field = (DataType.STRING, "string_value") if isinstance(point.type, String) else _TYPES[point.type.name]
    metric.datatype = type_
    if type_ in _SIGNED:
        value = int(value) & ((1 << _SIGNED[type_]) - 1)
    setattr(metric, field, value)


def _properties(point: Point, quality: Quality) -> Iterable[tuple[str, DataType, str, Value]]:
    """As hosts know them: Ignition's names of unit, range, comment; Sparkplug's of quality."""
    yield "Quality", DataType.INT32, "int_value", QUALITY[quality]
    yield "readOnly", DataType.BOOLEAN, "boolean_value", not point.is_writable
    if point.unit:
        yield "engUnit", DataType.STRING, "string_value", point.unit
    for name, end in (("engLow", point.low), ("engHigh", point.high)):
        if abs(end) != float("inf"):
            yield name, DataType.DOUBLE, "double_value", end
    if point.comment:
        yield "documentation", DataType.STRING, "string_value", point.comment


def _value(point: Point, metric: Any) -> Value:
    """What a command says; raises `CommandError`."""
    field = metric.WhichOneof("value")
    if field is None or metric.is_null:
        raise CommandError(f"{point.name}: the command has no value, or one of a type that no tag has")
    value: Value = getattr(metric, field)
    if isinstance(value, bytes):
        raise CommandError(f"{point.name}: the text is no UTF-8")
    if field in _BITS:
        assert isinstance(value, int)
        type_ = metric.datatype or (0 if isinstance(point.type, String) else _TYPES[point.type.name][0])
        bits = _BITS[field]
        if type_ in _SIGNED and value >> (bits - 1):
            value -= 1 << bits
    return value
