"""What a link shows of its tags: values, raw bytes, quality, age; of every kind of link."""

import struct
import sys
import threading
import time

import numpy as np
import pytest

from fieldbus.ads.address import AdsAddress
from fieldbus.ads.link import AdsLink
from fieldbus.codec import Codec, Field
from fieldbus.errors import BusyError, RefusedError
from fieldbus.image.image import ProcessImage
from fieldbus.link.values import TagValue
from fieldbus.modbus.address import ModbusAddress
from fieldbus.modbus.link import ModbusLink, Tcp
from fieldbus.plc.link import PlcLink
from fieldbus.tags import Order, Quality, Tag
from tests.fieldbus.ads.ads_plc import AdsPlc, Symbol
from tests.fieldbus.link.test_cyclic import TIMEOUT_S, Scripted
from tests.fieldbus.modbus import modbus_peers
from tests.waiting import PATIENCE_S, wait_for


def of(link: object) -> dict[str, TagValue]:
    return {value.tag.name: value for value in link.values()}  # type: ignore[attr-defined]


def test_nothing_is_known_before_the_first_exchange() -> None:
    """An input is 0, an output its safe value, both BAD, without an age."""
    shown = of(Scripted())
    assert {name: (v.values, v.raw, v.quality, v.age_ns) for name, v in shown.items()} == {
        "x": ((0.0,), b"", Quality.BAD, None),
        "u": ((-1.0,), b"", Quality.BAD, None),
    }


def test_quality_follows_what_happens() -> None:
    """GOOD while exchanges are good, STALE while a device is busy, BAD after the timeout."""
    with Scripted(timeout_s=PATIENCE_S) as link:
        wait_for(lambda: {v.quality for v in link.values()} == {Quality.GOOD})
        good = of(link)
        assert (good["u"].values, good["u"].quality, good["u"].direction) == ((-1.0,), Quality.GOOD, "out")
        link.fault = BusyError("not now", 6)  # type: ignore[attr-defined]
        wait_for(lambda: {v.quality for v in link.values()} == {Quality.STALE})
    with Scripted() as link:
        wait_for(lambda: {v.quality for v in link.values()} == {Quality.GOOD})
        link.fault = BusyError("not now", 6)  # type: ignore[attr-defined]
        wait_for(lambda: link.status().errors > 0)
        last = of(link)["x"].values
        wait_for(lambda: {v.quality for v in link.values()} == {Quality.BAD})
        shown = of(link)["x"]
        assert shown.values == last
        assert shown.age_ns is not None
        assert shown.age_ns > TIMEOUT_S * 0.9e9


def test_a_refusal_is_bad_at_once() -> None:
    """The age stays that of the last good values."""
    link = Scripted()
    with link:
        wait_for(lambda: of(link)["x"].quality == Quality.GOOD)
        link.fault = RefusedError("no", 2)
        wait_for(lambda: of(link)["x"].quality == Quality.BAD)
        assert of(link)["x"].age_ns is not None


def test_some_tags_alone() -> None:
    """Those that are named, in the order of the link's tags."""
    assert [value.tag.name for value in Scripted().values(["u", "x", "none"])] == ["x", "u"]
    assert [value.tag.name for value in Scripted().values(["u"])] == ["u"]


def test_values_are_of_one_publication() -> None:
    """However often the values are replaced meanwhile: all tags belong together."""
    tags = [Tag(f"t{number}", "float64", "in") for number in range(20)]
    link = PlcLink("plc", tags, timeout_s=60.0)
    link.start()
    done = threading.Event()
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)

    def write() -> None:
        number = 0
        while not done.is_set():
            number += 1
            link.write(np.full(20, float(number)), range(20))
            time.sleep(0.0005)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(300):
            assert len({value.values for value in link.values()}) == 1
    finally:
        done.set()
        writer.join()
        sys.setswitchinterval(before_s)
        link.stop(safe=False)


def test_a_plc_link_shows_what_clients_write_and_read() -> None:
    """An input is BAD until all are written; an output is GOOD once a client has read it."""
    link = PlcLink(
        "plc", [Tag("a", "float32", "in"), Tag("b", "float32", "in"), Tag("u", "float32", "out", safe=5.0)], PATIENCE_S
    )
    link.start()
    link.write(np.array([1.0, 0.0]), [0])
    assert [(v.values, v.quality) for v in link.values(["a"])] == [((1.0,), Quality.BAD)]
    assert [v.quality for v in link.values(["u"])] == [Quality.BAD]
    link.outputs()
    assert [(v.values, v.quality) for v in link.values(["u"])] == [((5.0,), Quality.GOOD)]
    link.stop(safe=False)


PLACES = [
    Tag("word", "uint16", "in", address=ModbusAddress("input", 0x102)),
    Tag("low_first", "uint32", "in", address=ModbusAddress("input", 0x104, Order.CDAB)),
    Tag("row", "uint16", "in", count=200, address=ModbusAddress("input", 0x110)),
    Tag("bit", "bool", "in", address=ModbusAddress("input", 0x103, bit=1)),
    Tag("small", "uint8", "in", address=ModbusAddress("input", 0x107)),
    Tag("contact", "bool", "in", address=ModbusAddress("discrete", 3)),
    Tag("out", "float32", "out", safe=12.5, address=ModbusAddress("holding", 8, Order.CDAB)),
]


@pytest.mark.peer
@pytest.mark.parametrize("fc23", [False, True])
def test_bytes_of_modbus_are_those_on_the_wire(fc23: bool) -> None:
    """Whole registers in the device's order, an array over several requests as one; of a contact, none."""
    held = Tag("held", "float32", "in", address=ModbusAddress("holding", 8, Order.CDAB))
    with modbus_peers.pymodbus() as port:
        link = ModbusLink("m", [*PLACES, held], Tcp("127.0.0.1", port), 0.02, 5.0, read_write=fc23)
        with link:
            wait_for(lambda: of(link)["held"].values == (12.5,) and link.status().state == "up")
            shown = of(link)
    assert (shown["word"].values, shown["word"].raw.hex()) == ((0x102,), "0102")
    assert (shown["low_first"].values, shown["low_first"].raw.hex()) == ((0x1050104,), "01040105")
    assert (shown["bit"].values, shown["bit"].raw.hex()) == ((1.0,), "0103")
    assert (shown["small"].values, shown["small"].raw.hex()) == ((7.0,), "0107")
    assert (shown["contact"].values, shown["contact"].raw) == ((1.0,), b"")
    assert shown["row"].raw == struct.pack(">200H", *range(0x110, 0x110 + 200))
    assert shown["held"].raw.hex() == shown["out"].raw.hex() == "00004148"


@pytest.mark.parametrize("mode", ["read", "notify"])
def test_bytes_of_ads_are_those_on_the_wire(mode: str) -> None:
    """Little-endian, as the controller has them."""
    tags = [
        Tag("x", "float32", "in", address=AdsAddress("MAIN.fX")),
        Tag("a", "int16", "in", count=2, address=AdsAddress("MAIN.aA")),
        Tag("u", "float64", "out", safe=-1.0, address=AdsAddress("MAIN.fU")),
    ]
    with AdsPlc([Symbol("MAIN.fX", "REAL"), Symbol("MAIN.aA", "INT", 2), Symbol("MAIN.fU", "LREAL")]) as plc:
        plc.set("MAIN.fX", 12.5)
        plc.set("MAIN.aA", 1, -2)
        link = AdsLink("plc", tags, f"{plc.host}.1.1", cycle_s=0.005, timeout_s=5.0, mode=mode)  # type: ignore[arg-type]
        link.drive(ProcessImage(), ["u"], "test")
        with link:
            wait_for(lambda: {value.quality for value in link.values()} == {Quality.GOOD})
            shown = of(link)
    assert {name: v.raw.hex() for name, v in shown.items()} == {
        "x": "00004841",
        "a": "0100feff",
        "u": "000000000000f0bf",
    }


def test_a_codec_keeps_the_newest_payload_only() -> None:
    """Decoded or encoded; nothing before the first."""
    codec = Codec([Field(Tag("x", "uint16", "in"), 0, 2, 2)], 4)
    assert codec.newest("x") == b""
    values = np.zeros(1)
    codec.decode(b"\0\0\0\5", values)
    assert codec.newest("x") == b"\0\5"
    values[0] = 6.0
    codec.encode(values)
    assert codec.newest("x") == b"\0\6"
