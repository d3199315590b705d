"""Browsing finds every variable once, with type, unit and value, whatever shape the server's nodes have."""

import asyncio
from types import SimpleNamespace

import pytest

pytest.importorskip("asyncua", reason="pip install 'rt-engine[opcua]'")

from asyncua import ua

from fieldbus.opcua import browsing
from fieldbus.opcua.browsing import address_of, browse
from fieldbus.opcua.session import Where
from tests.fieldbus.opcua.server import URI, serving


@pytest.fixture(scope="module")
def server():
    with serving(many=30) as one:

        async def more():
            unit = ua.EUInformation(DisplayName=ua.LocalizedText("m/s"))
            await one.nodes["speed"].add_property(0, "EngineeringUnits", unit)
            await one.nodes["speed"].add_property(0, "EURange", ua.Range(0.0, 20.0))
            line = one.server.get_node(ua.NodeId("Line", one.space))
            await one.nodes["level"].add_reference(line, ua.NodeId(ua.ObjectIds.Organizes))  # a circle

        one.do(more())
        yield one


def found(server, under="", tell=lambda _: None):
    return asyncio.run(browse(Where(server.url, "none"), 10.0, under, tell))


def test_variables_are_found_once_with_type_unit_range_and_value(server, monkeypatch):
    monkeypatch.setattr(browsing, "REFERENCES", 7)
    variables, is_cut = found(server)
    assert not is_cut
    by_name = {one.path[-1]: one for one in variables}
    assert len(by_name) == len(variables) == 11 + 30
    speed = by_name["speed"]
    assert (speed.path, speed.address.text) == (("Line", "speed"), f"nsu={URI};s=Line.speed")
    assert (speed.type, speed.unit, speed.limits, speed.value) == ("float32", "m/s", (0.0, 20.0), 1.5)
    assert (by_name["temps"].count, by_name["state"].type, by_name["text"].type) == (4, "int32", "")
    assert [one.path[-1] for one in variables if one.is_writable] == ["set", "sets"]


def test_a_part_is_found_alone_and_too_many_are_cut(server, monkeypatch):
    assert len(found(server, "Line/n7")[0]) == 1
    assert found(server, "Line/nobody")[0] == []
    monkeypatch.setattr(browsing, "MOST_NODES", 10)
    variables, is_cut = found(server)
    assert is_cut and 0 < len(variables) <= 10


@pytest.mark.parametrize(
    ("identifier", "text"),
    [(7, "nsu=urn:a;i=7"), ("x;y", "nsu=urn:a;s=x;y"), (b"ab", "nsu=urn:a;b=YWI=")],
)
def test_addresses_are_by_uri_where_it_can_be_written(identifier, text):
    assert address_of(SimpleNamespace(NamespaceIndex=1, Identifier=identifier), ["", "urn:a"]).text == text
    assert address_of(SimpleNamespace(NamespaceIndex=1, Identifier=identifier), ["", "urn;a"]).text.startswith("ns=1;")


def test_a_server_that_always_promises_more_is_left():
    """Continuation points without end, and nothing behind them."""
    asked = []

    async def batched(items, request, service):
        asked.append(service)
        assert len(asked) < 10
        return [SimpleNamespace(References=[], ContinuationPoint=b"more") for _ in items]

    walk = browsing._Walk(SimpleNamespace(batched=batched), [], lambda _: None)
    asyncio.run(walk.go())
    assert (asked, walk.variables) == (["browse", "browse_next"], [])
