"""Subscriptions: looked at when they publish, and at no other time; so there is no queue, and no work for what nobody watches.

    every publishing interval:  areas of the monitored values --> bytes that differ from the last published --> notification

A monitored item keeps one value, the newest (its queue is revised to 1, its sampling interval to the subscription's). What is computed
(properties, the state of an upload) is asked for as often. Nodes of the standard's own are watched as asyncua does it.
"""

from __future__ import annotations

import asyncio
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.internal_subscription import InternalSubscription
from asyncua.server.monitored_item_service import MonitoredItemService
from asyncua.server.subscription_service import SubscriptionService
from asyncua.ua.ua_binary import struct_to_binary
from asyncua.ua.uaprotocol_auto import DataChangeFilter  # what is decoded: that of `ua` is made of it

from plc_bindings.opcua.codec import Codec
from plc_bindings.opcua.ranges import RangeError, part
from plc_bindings.opcua.reading import Reading, Seen
from plc_bindings.opcua.sizes import Sizes
from plc_bindings.opcua.space import Space
from plc_bindings.opcua.tree import Computed, Node, Place
from plc_bindings.opcua.words import standard, status

_HANDLE: Final = struct.Struct("<I")
_COUNT: Final = struct.Struct("<i")
_NO_DIAGNOSTICS: Final = _COUNT.pack(-1)
_DATA_CHANGE: Final = standard(ua.ObjectIds.DataChangeNotification_Encoding_DefaultBinary)
LEAST_INTERVAL_MS: Final = 20.0
MOST_INTERVAL_MS: Final = 3_600_000.0
LEAST_LIFETIME_COUNT: Final = 3
TOO_LARGE: Final = struct.pack("<BI", 0x02, ua.StatusCodes.BadEncodingLimitsExceeded)
"""A DataValue of a status alone."""
ANSWER_OVERHEAD: Final = 512
"""Bytes of an answer beside its notifications, at most."""
AT_ONCE: Final = 200
"""Monitored items that are made, or looked at, without a turn for others."""


@dataclass(slots=True)
class Watched:
    """A monitored value: what of it was published last. `deadband`: so far it may move in silence."""

    node: Node
    place: Place
    handle: int
    mode: ua.MonitoringMode
    stamps: tuple[bool, bool]
    trigger: ua.DataChangeTrigger = ua.DataChangeTrigger.StatusValue
    deadband: float = 0.0
    raw: bytes = b""
    status: int = -1
    when_ns: int = 0

    def differs(self, seen: Seen) -> bool:
        """Is there something to publish? Notes it, if so."""
        raw = seen.data[self.place.offset : self.place.offset + self.place.codec.size]
        is_new = seen.status != self.status
        is_new |= self.trigger != ua.DataChangeTrigger.Status and raw != self.raw and self._moved(self.place.codec, raw)
        is_new |= self.trigger == ua.DataChangeTrigger.StatusValueTimestamp and seen.when_ns != self.when_ns
        if is_new:
            self.raw, self.status, self.when_ns = raw, seen.status, seen.when_ns
        return is_new

    def _moved(self, codec: Codec, raw: bytes) -> bool:
        if not self.deadband or not self.raw or codec.char in "s?":
            return True
        old, new = codec.value(self.raw), codec.value(raw)
        pairs = zip(old, new, strict=True) if codec.count else ((old, new),)
        return any(not abs(b - a) <= self.deadband for a, b in pairs)  # NaN has moved


@dataclass(slots=True)
class Asked:
    """A value that is computed when it is asked for. `told`: the Variant that was published last."""

    node: Node
    handle: int
    mode: ua.MonitoringMode
    told: Any = None

    def news(self) -> ua.MonitoredItemNotification | None:
        """What there is to publish. Notes it."""
        if self.mode != ua.MonitoringMode.Reporting or (value := self.node.content.read()) == self.told:
            return None
        self.told = value
        return ua.MonitoredItemNotification(self.handle, ua.DataValue(value))


class Items(MonitoredItemService):
    """The monitored items of one subscription."""

    def __init__(self, subscription: Subscription, space: Space) -> None:
        super().__init__(subscription, space)
        self._space, self._subscription = space, subscription
        self.watched: dict[int, Watched] = {}
        self.asked: dict[int, Asked] = {}
        self._areas: dict[int, dict[int, Watched]] | None = None

    def by_area(self) -> dict[int, dict[int, Watched]]:
        """What reports, in the areas that are to be looked at."""
        if self._areas is None:
            self._areas = {}
            for mid, one in self.watched.items():
                if one.mode == ua.MonitoringMode.Reporting:
                    self._areas.setdefault(one.place.area, {})[mid] = one
            self._subscription.forget()
        return self._areas

    def __len__(self) -> int:
        return len(self.watched) + len(self.asked) + len(self._monitored_items)

    def delete_all_monitored_items(self) -> None:
        """All of them."""
        self.watched.clear()
        self.asked.clear()
        self._areas = None
        super().delete_all_monitored_items()

    async def create_monitored_items(
        self, params: ua.CreateMonitoredItemsParameters
    ) -> list[ua.MonitoredItemCreateResult]:
        """More; with a turn for other clients now and then."""
        results = []
        for number, item in enumerate(params.ItemsToCreate, start=1):
            if item.ItemToMonitor.AttributeId == ua.AttributeIds.EventNotifier:  # there are no events
                results.append(ua.MonitoredItemCreateResult(StatusCode=status(ua.StatusCodes.BadNotSupported)))
            else:
                results.append(await self._create_data_change_monitored_item(item))
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
        return results

    async def _create_data_change_monitored_item(
        self, params: ua.MonitoredItemCreateRequest
    ) -> ua.MonitoredItemCreateResult:
        what = params.ItemToMonitor
        node = self._space.ours(what.NodeId)
        if node is None:
            if not _is_plain(params.RequestedParameters.Filter):  # asyncua finds out when the value changes
                return ua.MonitoredItemCreateResult(StatusCode=status(ua.StatusCodes.BadFilterNotAllowed))
            return await super()._create_data_change_monitored_item(params)
        if what.AttributeId != ua.AttributeIds.Value or not isinstance(node.content, Place | Computed):
            return ua.MonitoredItemCreateResult(StatusCode=status(ua.StatusCodes.BadNotSupported))
        if isinstance(node.content, Computed):
            return self._ask(node, params)
        result, _ = self._make_monitored_item_common(params)
        try:
            place = part(node.content, what.IndexRange or "")
        except RangeError as error:
            return _refused(result, error.code)
        asked = params.RequestedParameters
        stamps = self._subscription.stamps
        watched = Watched(node, place, asked.ClientHandle, ua.MonitoringMode(params.MonitoringMode), stamps)
        result.StatusCode = _filtered(watched, asked.Filter)
        if result.StatusCode.is_good():
            self.watched[result.MonitoredItemId] = watched
            self._areas = None
        result.RevisedQueueSize = 1
        return result

    def _ask(self, node: Node, params: ua.MonitoredItemCreateRequest) -> ua.MonitoredItemCreateResult:
        result, _ = self._make_monitored_item_common(params)
        if not _is_plain(params.RequestedParameters.Filter):
            return _refused(result, ua.StatusCodes.BadFilterNotAllowed)
        mode = ua.MonitoringMode(params.MonitoringMode)
        self.asked[result.MonitoredItemId] = Asked(node, params.RequestedParameters.ClientHandle, mode)
        result.RevisedQueueSize = 1
        return result

    def _modify_monitored_item(self, params: ua.MonitoredItemModifyRequest) -> ua.MonitoredItemModifyResult:
        result = ua.MonitoredItemModifyResult()
        result.RevisedSamplingInterval = self._subscription.data.RevisedPublishingInterval
        result.RevisedQueueSize = 1
        watched = self.watched.get(params.MonitoredItemId)
        asked = params.RequestedParameters
        if watched is not None:
            result.StatusCode = _filtered(watched, asked.Filter)
            watched.handle = asked.ClientHandle
            self._areas = None
        elif (computed := self.asked.get(params.MonitoredItemId)) is not None:
            computed.handle = asked.ClientHandle
            if not _is_plain(asked.Filter):
                result.StatusCode = status(ua.StatusCodes.BadFilterNotAllowed)
        elif (known := self._monitored_items.get(params.MonitoredItemId)) is not None:
            known.client_handle = asked.ClientHandle
        else:
            result.StatusCode = status(ua.StatusCodes.BadMonitoredItemIdInvalid)
        return result

    async def _set_monitoring_mode(self, mode: ua.MonitoringMode, mid: int) -> ua.StatusCode:
        watched = self.watched.get(mid)
        if (computed := self.asked.get(mid)) is not None:
            computed.mode, computed.told = ua.MonitoringMode(mode), None
            return ua.StatusCode()
        if watched is None:
            return await super()._set_monitoring_mode(mode, mid)
        watched.mode, watched.status = ua.MonitoringMode(mode), -1
        self._areas = None
        return ua.StatusCode()

    def _delete_monitored_items(self, mid: int) -> ua.StatusCode:
        if self.asked.pop(mid, None) is not None:
            return ua.StatusCode()
        if self.watched.pop(mid, None) is not None:
            self._areas = None
            return ua.StatusCode()
        return super()._delete_monitored_items(mid)


def _refused(result: ua.MonitoredItemCreateResult, code: int) -> ua.MonitoredItemCreateResult:
    result.StatusCode = status(code)
    return result


def _is_plain(wanted: Any) -> bool:
    """Does this filter let every change of a value through, whatever the value is?"""
    if wanted is None or (isinstance(wanted, ua.ExtensionObject) and not wanted):
        return True
    return isinstance(wanted, DataChangeFilter) and wanted.DeadbandType == ua.DeadbandType.None_


def _filtered(watched: Watched, wanted: Any) -> ua.StatusCode:
    """Take a client's filter; why not, if it is none for this value."""
    if wanted is None or (isinstance(wanted, ua.ExtensionObject) and not wanted):
        watched.trigger, watched.deadband = ua.DataChangeTrigger.StatusValue, 0.0
        return ua.StatusCode()
    if not isinstance(wanted, DataChangeFilter):
        return status(ua.StatusCodes.BadMonitoredItemFilterUnsupported)
    band, kind = float(wanted.DeadbandValue), wanted.DeadbandType
    if not math.isfinite(band) or band < 0.0:
        return status(ua.StatusCodes.BadDeadbandFilterInvalid)
    if kind not in (ua.DeadbandType.None_, ua.DeadbandType.Absolute, ua.DeadbandType.Percent):
        return status(ua.StatusCodes.BadDeadbandFilterInvalid)
    if kind == ua.DeadbandType.Percent:
        limits = watched.node.children.get("EURange")
        if limits is None or band > 100.0:
            return status(ua.StatusCodes.BadMonitoredItemFilterUnsupported)
        range_ = limits.content.read().Value
        band *= (range_.High - range_.Low) / 100.0
    watched.trigger = ua.DataChangeTrigger(wanted.Trigger)
    watched.deadband = 0.0 if kind == ua.DeadbandType.None_ else band
    return ua.StatusCode()


class Subscription(InternalSubscription):
    """One client's subscription."""

    def __init__(self, reading: Reading, space: Space, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._reading = reading
        self.stamps = (True, True)
        self.sizes = Sizes()
        """What the client takes in one answer: its connection's own, which may change before a request to publish comes."""
        self.most = 0
        """Nor so many values; 0: as many as there are."""
        self._seen: dict[int, Seen] = {}
        """Areas as they were looked at last: of one that is the same nothing is looked at."""
        self.items = Items(self, space)
        self.monitored_item_srv = self.items

    async def publish_results(self, requestdata: Any = None) -> bool:
        """Look at the values if it is time to, and publish what there is, in as many answers as it takes."""
        if requestdata is None and self._publishing_enabled:
            await self._look()
        is_told: bool = await super().publish_results(requestdata)
        while is_told and self._triggered_datachanges and await super().publish_results():
            await asyncio.sleep(0)
        return is_told

    def forget(self) -> None:
        """Look at every value again: others are watched than before."""
        self._seen.clear()

    async def _look(self) -> None:
        areas = self.items.by_area()
        try:
            seen = await self._reading.seen(areas.keys())
        except ConnectionError:  # the station ends
            return
        for area, of_area in seen.items():
            if of_area.same_as(self._seen.get(area)):
                continue
            for number, (mid, watched) in enumerate(tuple(areas[area].items()), start=1):
                if watched.differs(of_area):
                    value = self._reading.value(watched.place, of_area, watched.stamps)
                    notification: Any = _HANDLE.pack(watched.handle) + value
                    self._triggered_datachanges[mid] = [notification]
                if number % AT_ONCE == 0:
                    await asyncio.sleep(0)
            if self.items.by_area() is areas:
                self._seen[area] = of_area
        for number, (mid, one) in enumerate(tuple(self.items.asked.items()), start=1):
            if (news := one.news()) is not None:
                self._triggered_datachanges[mid] = [news]
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)

    def _pop_triggered_datachanges(self, result: ua.PublishResult) -> None:
        if not self._triggered_datachanges:
            return
        parts = self._fitting()
        body = b"".join((_COUNT.pack(len(parts)), *parts, _NO_DIAGNOSTICS))
        notification: Any = ua.ExtensionObject(_DATA_CHANGE, cast(ua.ByteString, body))
        result.NotificationMessage.NotificationData.append(notification)

    def _fitting(self) -> list[bytes]:
        """Notifications that one answer holds; the others go on waiting. Of a value that none could hold, the status says so."""
        most, waiting = self.sizes.answer_bytes - ANSWER_OVERHEAD, self._triggered_datachanges
        room = most
        parts: list[bytes] = []
        for mid in tuple(waiting):
            own = [one if isinstance(one, bytes) else struct_to_binary(one) for one in waiting[mid]]
            if sum(map(len, own)) > most:
                own = [own[-1][: _HANDLE.size] + TOO_LARGE]
            room -= sum(map(len, own))
            if parts and (room < 0 or len(parts) == self.most):
                break
            parts += own
            del waiting[mid]
        return parts

    def _pop_publish_result(self) -> ua.PublishResult:
        result: ua.PublishResult = super()._pop_publish_result()
        result.MoreNotifications = bool(self._triggered_datachanges)
        return result


class Subscriptions(SubscriptionService):
    """All of a server, each with its session; a session has `most` of them, with `most_items` monitored items in all."""

    def __init__(self, space: Space, iserver: Any, most: int, most_items: int) -> None:
        super().__init__(space, iserver)
        self._space, self._engine, self._most, self._most_items = space, iserver, most, most_items

    def of(self, session: ua.NodeId) -> dict[int, Subscription]:
        """A session's."""
        found: dict[int, Any] = self.subscriptions
        return {number: one for number, one in found.items() if one.session_id == session}

    async def create_subscription(
        self,
        params: ua.CreateSubscriptionParameters,
        callback: Callable[..., Any],
        session_id: ua.NodeId,
        request_callback: Callable[..., Any] | None = None,
    ) -> ua.CreateSubscriptionResult:
        """One more, with an interval and counts within bounds; raises `ServiceError`."""
        if len(self.of(session_id)) >= self._most:
            raise ServiceError(ua.StatusCodes.BadTooManySubscriptions)
        result = ua.CreateSubscriptionResult()
        result.RevisedPublishingInterval = revised_interval(params.RequestedPublishingInterval)
        result.RevisedMaxKeepAliveCount = self._clamp_keep_alive_count(params.RequestedMaxKeepAliveCount)
        least = LEAST_LIFETIME_COUNT * result.RevisedMaxKeepAliveCount
        result.RevisedLifetimeCount = max(self._clamp_lifetime_count(params.RequestedLifetimeCount), least)
        self._sub_id_counter += 1
        number = result.SubscriptionId = self._sub_id_counter
        made = Subscription(
            self._engine.reading,
            self._space,
            result,
            self.aspace,
            callback,
            session_id,
            request_callback=request_callback,
            delete_callback=lambda: self.subscriptions.pop(number, None),
            no_acks_limit=self._engine.max_unacked_messages_per_subscription,
            max_queue_size=self._engine.max_monitored_item_queue_size,
            publishing_enabled=params.PublishingEnabled,
        )
        made.most = params.MaxNotificationsPerPublish
        await made.start()
        self._engine.diagnostics.counts.CumulatedSubscriptionCount += 1
        self.subscriptions[number] = made
        return result

    def room(self, session: ua.NodeId) -> int:
        """How many monitored items a session may still have."""
        return self._most_items - sum(len(one.items) for one in self.of(session).values())


def revised_interval(asked_ms: float) -> float:
    """A publishing interval that we keep: no client makes us look more often, and none asks for never."""
    wanted = float(asked_ms)
    return min(max(wanted, LEAST_INTERVAL_MS), MOST_INTERVAL_MS) if math.isfinite(wanted) else LEAST_INTERVAL_MS
