"""Tags say what they mean, or say what is wrong with them."""

import math
import sys

import pytest

from fieldbus.ads.address import AdsAddress
from fieldbus.errors import AddressError, TagError
from fieldbus.modbus.address import ModbusAddress
from fieldbus.tags import TYPES, Order, Tag


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ""}, "a tag needs a name"),
        ({"type": "int24"}, "unknown type 'int24'; there are bool, int8"),
        ({"direction": "both"}, "direction 'both' is neither 'in'"),
        ({"count": 0}, "count 0 is below 1"),
        ({"scale": 0.0}, "scale 0.0 .* must be finite, and scale not 0"),
        ({"offset": math.nan}, "must be finite"),
        ({"low": 2.0, "high": 1.0}, "low 2.0 is not below high 1.0"),
        ({"low": 1.0, "safe": 0.0}, "safe value 0.0 is outside its limits 1.0 to inf"),
        ({"safe": math.nan}, "safe value nan is outside"),
        ({"type": "int16", "safe": 40000.0}, "safe value 40000.0 does not fit int16"),
        ({"type": "int16", "scale": 0.01, "safe": 400.0}, "does not fit int16: that holds -327.68 to 327.67"),
    ],
)
def test_a_contradictory_tag_is_refused(change: dict[str, object], message: str) -> None:
    """Each contradiction raises `TagError` that names it."""
    parts: dict[str, object] = {"name": "valve", "type": "float32", "direction": "out", **change}
    with pytest.raises(TagError, match=message):
        Tag(**parts)  # type: ignore[arg-type]


def test_an_input_needs_no_sendable_safe_value() -> None:
    """Safe values are for outputs: an input whose limits exclude 0 is fine."""
    assert Tag("level", "uint16", "in", low=5.0, high=9.0).safe == 0.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ModbusAddress("register", 1), "table 'register'"),  # type: ignore[arg-type]
        (lambda: ModbusAddress("holding", 65536), "0 to 65535, counted from 0"),
        (lambda: ModbusAddress("holding", -1), "0 to 65535"),
        (lambda: ModbusAddress("holding", 1, unit=256), "unit 256 is not in 0 to 255"),
        (lambda: ModbusAddress("coil", 1, bit=1), "a bit .0 to 15. is part of a register only"),
        (lambda: ModbusAddress("holding", 1, bit=16), "a bit .0 to 15. is part of a register only"),
        (lambda: AdsAddress(), "either a symbol's name, or both index group and index offset"),
        (lambda: AdsAddress("MAIN.x", 0x4040, 0), "either a symbol's name"),
        (lambda: AdsAddress(group=0x4040), "either a symbol's name"),
    ],
)
def test_an_impossible_address_is_refused(make, message: str) -> None:  # type: ignore[no-untyped-def]
    """Each impossible address raises `AddressError` that says what is possible."""
    with pytest.raises(AddressError, match=message):
        make()


def test_an_order_may_be_given_as_text() -> None:
    """A station file writes "CDAB"; an unknown order is refused."""
    assert ModbusAddress("holding", 0, "CDAB").order is Order.CDAB  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="ACBD"):
        ModbusAddress("holding", 0, "ACBD")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize(("scale", "offset"), [(1.0, 0.0), (0.1, 0.0), (-0.3, 17.0), (1e-9, 1e6)])
def test_both_ends_of_a_type_survive_the_way_back(name: str, scale: float, offset: float) -> None:
    """`representable` names values that, turned back into raw numbers, the type still holds."""
    tag = Tag("x", name, "in", scale=scale, offset=offset)
    low, high = tag.representable
    assert low < high
    assert all(TYPES[name].low <= tag.raw(value) <= TYPES[name].high for value in (low, high))


def test_a_scale_beyond_all_numbers_is_refused_at_once() -> None:
    """Where no value has a way back into the type, it says so; it does not search for one for ever."""
    with pytest.raises(TagError, match="too large for int64"):
        Tag("x", "int64", "out", scale=1e308, offset=1e308, safe=1e308)


def test_links_and_addresses_have_short_names():
    """As the pages and examples write them; addresses also as they were written before, with a word about it."""
    from fieldbus import ads, inprocess, modbus, plc, tags

    links = {(module.__name__, name) for module in (ads, inprocess, modbus, plc) for name in module.__all__}
    assert ("fieldbus.modbus", "Tcp") in links and len(links) == 7
    assert all(callable(getattr(sys.modules[module], name)) for module, name in links)
    with pytest.warns(DeprecationWarning, match="write: from fieldbus.modbus.address import ModbusAddress"):
        assert tags.ModbusAddress is ModbusAddress
    with pytest.warns(DeprecationWarning, match="write: from fieldbus.ads.address import AdsAddress"):
        assert tags.AdsAddress is AdsAddress
    for module in (ads, modbus, tags):
        with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
            _ = module.Nothing
