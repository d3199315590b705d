"""Subscriptions over the wire, through asyncua's client: what is told, when, and in how many answers."""

import asyncio
from functools import partial

from asyncua import ua

from fieldbus.tags import Quality
from plc_bindings.opcua.monitoring import Asked
from plc_bindings.opcua.tree import Class, Computed, Node
from tests.plc_bindings.opcua.plant import Heard, asked, connected, node, run
from tests.waiting import wait_for


def test_a_subscription_tells_what_has_changed_and_nothing_else(served):
    """First what is there; then values, and a quality that changes; the standard's own nodes too."""

    async def work(client, plant):
        heard, state = Heard(), client.nodes.server_state
        subscription = await client.create_subscription(50, heard)
        await subscription.subscribe_data_change([node(client, "Tags.Speed"), node(client, "Tags.Count"), state])
        await heard.until(lambda values: len(values) == 3)
        plant.tags.put(7.5)
        await heard.until(lambda values: len(values) == 4)
        plant.tags.quality = Quality.BAD
        await heard.until(lambda values: len(values) == 6)
        plant.tags.quality = Quality.GOOD
        await subscription.delete()
        looks = plant.tags.looks
        await asyncio.sleep(0.4)
        return heard.values, plant.tags.looks - looks

    values, looks = asked(served, work, "anna")
    bad = ua.StatusCodes.BadNoCommunication
    assert values[3] == ("Tags.Speed", 7.5, 0)
    assert {value[0] for value in values[4:]} == {"Tags.Speed", "Tags.Count"} and {
        value[2] for value in values[4:]
    } == {bad}
    assert looks <= 1, "nobody watches, and somebody looks"  # one may have been under way


def test_one_session_does_not_touch_another_ones_subscription(served):
    _, server, folder = served

    async def work():
        async with connected(server, "anna", folder) as one, connected(server, "otto", folder) as other:
            subscription = await one.create_subscription(100, Heard())
            number = subscription.subscription_id
            params = ua.DeleteSubscriptionsParameters([number])
            (deleted,) = await other.uaclient.delete_subscriptions(params.SubscriptionIds)
            moved = await other.uaclient.transfer_subscriptions(ua.TransferSubscriptionsParameters([number], True))
            return deleted.name, moved[0].StatusCode.name

    assert run(work()) == ("BadSubscriptionIdInvalid", "BadSubscriptionIdInvalid")


def test_a_filter_that_fits_no_value_is_refused_alone(served):
    """An event's filter, a deadband, a kind that is none: of the server's clock, and of a tag. The other items are watched."""
    band = partial(ua.DataChangeFilter, Trigger=ua.DataChangeTrigger.StatusValue)
    clock, count = ua.NodeId(ua.ObjectIds.Server_ServerStatus_CurrentTime), ua.NodeId("Tags.Count", 2)
    name = ua.NodeId("Tags.Speed", 2)
    wanted = [
        (clock, ua.EventFilter()),
        (clock, band(DeadbandType=1, DeadbandValue=1.0)),
        (clock, band(DeadbandType=0, DeadbandValue=0.0)),
        (count, ua.EventFilter()),
        (count, band(DeadbandType=1, DeadbandValue=float("nan"))),
        (count, band(DeadbandType=9, DeadbandValue=1.0)),
        (count, band(DeadbandType=1, DeadbandValue=1.0)),
        (name, None),
        (ua.NodeId("Tags.Speed/EURange", 2), band(DeadbandType=1, DeadbandValue=1.0)),
    ]

    async def work(client, plant):
        subscription = await client.create_subscription(100, Heard())
        params = ua.CreateMonitoredItemsParameters(subscription.subscription_id)
        for number, (which, filter_) in enumerate(wanted):
            attribute = ua.AttributeIds.DisplayName if which == name else ua.AttributeIds.Value
            item = ua.MonitoredItemCreateRequest(ua.ReadValueId(which, attribute))
            item.RequestedParameters = ua.MonitoringParameters(number, 100.0, filter_, 1, True)
            params.ItemsToCreate.append(item)
        return [result.StatusCode.name for result in await client.uaclient.create_monitored_items(params)]

    got = asked(served, work)
    assert got == [
        "BadFilterNotAllowed",
        "BadFilterNotAllowed",
        "Good",
        "BadMonitoredItemFilterUnsupported",
        "BadDeadbandFilterInvalid",
        "BadDeadbandFilterInvalid",
        "Good",
        "BadNotSupported",
        "BadFilterNotAllowed",
    ]


def with_sessions(server):
    return [one for one in tuple(server._connections) if one.processor.session is not None]


def test_a_notification_is_told_in_as_many_answers_as_the_client_takes(served):
    """200 arrays to a client that takes 8,000 bytes: all come, at first and changed; of what fits in no answer the status."""

    async def work(client, plant):
        told = asyncio.Queue()
        params = ua.CreateSubscriptionParameters(20.0, 1000, 10, 0, True, 0)
        made = await client.uaclient.create_subscription(params, told.put)
        wait_for(lambda: len(with_sessions(served[1])) == 1)  # that of the test before may not be closed yet
        (connection,) = with_sessions(served[1])
        connection.processor._sizes.answer_bytes = 8_000
        items = ua.CreateMonitoredItemsParameters(made.SubscriptionId)
        for handle in range(200):
            item = ua.MonitoredItemCreateRequest(ua.ReadValueId(ua.NodeId("Tags.Curve", 2), ua.AttributeIds.Value))
            item.MonitoringMode = ua.MonitoringMode.Reporting
            item.RequestedParameters = ua.MonitoringParameters(handle, 20.0, None, 1, True)
            items.ItemsToCreate.append(item)
        await client.uaclient.create_monitored_items(items)

        async def next_of_all():
            found, most = {}, 0
            while len(found) < 200:
                answer = await asyncio.wait_for(told.get(), 20.0)
                news = [one for part in answer.NotificationMessage.NotificationData for one in part.MonitoredItems]
                most = max(most, len(news))
                found |= {one.ClientHandle: one.Value for one in news}
            return most, [one.StatusCode.name for one in found.values()]

        first = await next_of_all()
        plant.tags.data = plant.tags.data[:-4] + b"\0\0\0\0"
        plant.tags.timestamp_ns += 1
        changed = await next_of_all()
        await client.uaclient.modify_subscription(
            ua.ModifySubscriptionParameters(made.SubscriptionId, 20.0, 1000, 10, MaxNotificationsPerPublish=15)
        )
        plant.tags.data = plant.tags.data[:-4] + b"\0\0\0\x40"
        plant.tags.timestamp_ns += 1
        few = await next_of_all()
        connection.processor._sizes.answer_bytes = 540
        plant.tags.data = plant.tags.data[:-4] + b"\0\0\x80\x3f"
        plant.tags.timestamp_ns += 1
        return first, changed, few[0], (await next_of_all())[1]

    first, changed, few, too_large = asked(served, work)
    assert 20 < first[0] < 200 and set(first[1]) == {"Good"}
    assert 20 < changed[0] < 200 and set(changed[1]) == {"Good"}
    assert few == 15
    assert set(too_large) == {"BadEncodingLimitsExceeded"}


def test_a_property_is_told_once_and_again_when_it_reports_again(served):
    """Who drags all of a tag into a view gets its range, too."""

    async def work(client, plant):
        told = asyncio.Queue()
        params = ua.CreateSubscriptionParameters(20.0, 1000, 10, 0, True, 0)
        made = await client.uaclient.create_subscription(params, told.put)
        item = ua.MonitoredItemCreateRequest(ua.ReadValueId(ua.NodeId("Tags.Speed/EURange", 2), ua.AttributeIds.Value))
        item.MonitoringMode = ua.MonitoringMode.Reporting
        item.RequestedParameters = ua.MonitoringParameters(5, 20.0, None, 1, True)
        items = ua.CreateMonitoredItemsParameters(made.SubscriptionId, ItemsToCreate=[item])
        (result,) = await client.uaclient.create_monitored_items(items)

        async def next_one():
            while True:
                answer = await asyncio.wait_for(told.get(), 20.0)
                for part in answer.NotificationMessage.NotificationData:
                    (one,) = part.MonitoredItems
                    return one.ClientHandle, one.Value.Value.Value

        first = await next_one()
        for mode in (ua.MonitoringMode.Disabled, ua.MonitoringMode.Reporting):
            wanted = ua.SetMonitoringModeParameters(made.SubscriptionId, mode, [result.MonitoredItemId])
            await client.uaclient.set_monitoring_mode(wanted)
        again = await next_one()
        deleted = ua.DeleteMonitoredItemsParameters(made.SubscriptionId, [result.MonitoredItemId] * 2)
        return first, again, [one.name for one in await client.uaclient.delete_monitored_items(deleted)]

    (handle, limits), again, deleted = asked(served, work)
    assert handle == 5 and isinstance(limits, ua.Range) and again == (handle, limits)
    assert deleted == ["Good", "BadMonitoredItemIdInvalid"]


def test_what_is_computed_is_told_when_it_is_another():
    values = [ua.Variant("Idle"), ua.Variant("Idle"), ua.Variant("ApplyWrite")]
    node = Node("Transfer/State", "State", Class.VARIABLE, content=Computed(lambda: values.pop(0), ua.ObjectIds.String))
    one = Asked(node, 3, ua.MonitoringMode.Reporting)
    told = [one.news() for _ in range(3)]
    assert [news and (news.ClientHandle, news.Value.Value.Value) for news in told] == [
        (3, "Idle"),
        None,
        (3, "ApplyWrite"),
    ]
    one.mode = ua.MonitoringMode.Disabled
    assert one.news() is None
