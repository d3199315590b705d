"""Monitored items, of a server that does not want them."""

import asyncio
from types import SimpleNamespace

import pytest

pytest.importorskip("asyncua", reason="pip install 'rt-engine[opcua]'")

from asyncua import ua

from fieldbus.opcua.address import parse
from fieldbus.opcua.items import Items
from fieldbus.opcua.lookup import Found
from fieldbus.tags import Quality, Tag

FLOAT = 10


class Session:
    """Answers every item with the next of `statuses`; all values are 2.5. `handles`: what it was asked with."""

    def __init__(self, *statuses):
        self.most = {"create_monitored_items": 100}
        self.statuses, self.handles = list(statuses), []

    async def batched(self, nodes, request, service):
        self.handles += [handle for _, handle in nodes]
        return [SimpleNamespace(StatusCode=ua.StatusCode(self.statuses.pop(0))) for _ in nodes]

    async def read(self, questions):
        return [ua.DataValue(ua.Variant(2.5, ua.VariantType.Float)) for _ in questions]


def test_a_tag_that_is_refused_again_and_again_takes_no_more_room():
    """The link asks every 5 s for as long as it lives; what is told then has the handle of the attempt that was good."""
    good, many = ua.StatusCodes.Good, ua.StatusCodes.BadTooManyMonitoredItems
    session = Session(good, many, many, many, good)
    items = Items(session, {"a": 0, "b": 1}, 2)
    first, second = [
        (Tag(name, "float32", "in", address=parse(f"ns=2;s={name}")), Found(ua.NodeId(name, 2), FLOAT, None, None))
        for name in "ab"
    ]

    async def work():
        refused = [list(await items.add([first, second], lambda: None))]
        for _ in range(3):
            refused.append(list(await items.add([second], lambda: None)))
        return refused

    assert asyncio.run(work()) == [["b"], ["b"], ["b"], []]
    assert len(set(session.handles)) == len(session.handles) == 5
    assert len(items._tags) == 2
    items._changed(session.handles[1], ua.DataValue(ua.Variant(7.0, ua.VariantType.Float)))  # was refused
    items._changed(session.handles[-1], ua.DataValue(ua.Variant(3.5, ua.VariantType.Float)))
    assert items.raw.tolist() == [2.5, 3.5]
    assert set(items.quality) == {int(Quality.GOOD)}
