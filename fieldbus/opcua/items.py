"""Monitored items: what a server tells of the nodes of input tags, and how long ago it has told anything. In the loop of the session.

    raw[cell], quality[cell]    numbers as they came, in the device's units, and GOOD, STALE or BAD
    heard_ns                    when the newest message came: what has not changed was still so then
    gap                         messages were lost: `reread` asks for all values

A server tells what has changed every `interval_s`; when nothing has, it says so after `keep_alive_s` (OPC 10000-4, 5.14.1).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import numpy as np
from asyncua import ua

from fieldbus.errors import ConnectionLostError, RefusedError
from fieldbus.opcua.lookup import Found
from fieldbus.opcua.protocol import RUNNING, SERVER_STATE, SERVER_STATES, VALUE
from fieldbus.opcua.session import SESSION_S, Session
from fieldbus.opcua.values import builtin_of, node0, numbers, quality_of, status_name, status_of, type_name
from fieldbus.tags import Quality, Tag

MOST_NOTIFICATIONS: Final = 0
"""In one message: no limit. With one, and a single question for messages under way, node-opcua's server tells nothing more."""
LONGEST_REST_S: Final = 0.1
_STATE_HANDLE: Final = 0
_FIRST_HANDLE: Final = 1
_AFTER_LAST_SEQUENCE: Final = 1
_SEQUENCES: Final = 1 << 32


class Items:
    """The items of one session. `cells`: tag -> its first cell of `size`."""

    def __init__(self, session: Session, cells: Mapping[str, int], size: int) -> None:
        self._session, self._cells = session, cells
        self._tags: dict[int, tuple[Tag, Found]] = {}
        """By the handles that the server tells their values with."""
        self._next_handle = _FIRST_HANDLE
        self.raw = np.full(size, math.nan)
        self.quality = np.full(size, int(Quality.BAD), np.uint8)
        self.doubts: dict[str, str] = {}
        """Tag -> why it has no value, or an uncertain one."""
        self.source_times: dict[str, datetime] = {}
        """Tag -> when the server's source had its value."""
        self.heard_ns = 0
        self.gap = False
        self.ended = ""
        """Why there will be no more notifications; empty: there will."""
        self.server_state = RUNNING
        self.news = asyncio.Event()
        self._worked_s = time.thread_time()
        """What this thread had taken of its processor at the newest message."""
        self._id = 0
        self._next_sequence = _AFTER_LAST_SEQUENCE

    async def subscribe(self, interval_s: float, keep_alive_s: float, sampling_s: float | None) -> None:
        """Begin; without items yet. Raises `RefusedError` if the server will not say often enough that it lives."""
        wanted = ua.CreateSubscriptionParameters()
        wanted.RequestedPublishingInterval = interval_s * 1000.0
        wanted.RequestedMaxKeepAliveCount = max(1, int(keep_alive_s / interval_s))
        wanted.RequestedLifetimeCount = max(3 * wanted.RequestedMaxKeepAliveCount, round(SESSION_S / interval_s))
        wanted.MaxNotificationsPerPublish = MOST_NOTIFICATIONS
        self._sampling_ms = -1.0 if sampling_s is None else sampling_s * 1000.0
        made = await self._session.ask(lambda client: client.create_subscription(wanted, self._told))
        self._id, self.heard_ns = made.SubscriptionId, time.monotonic_ns()
        every_s = made.RevisedPublishingInterval * made.RevisedMaxKeepAliveCount / 1000.0
        if every_s > 2.0 * keep_alive_s:
            raise RefusedError(
                f"the server says only every {every_s:g} s that it lives, and {keep_alive_s:g} s were asked for: "
                f"make timeout {3.0 * every_s:g} s or longer",
                0,
            )
        await self._create([(node0(SERVER_STATE), _STATE_HANDLE)])

    async def add(self, tags: Sequence[tuple[Tag, Found]], stopped: Callable[[], None]) -> dict[str, str]:
        """Have these monitored, too; gives what the server refuses: tag -> why."""
        first = self._next_handle
        self._next_handle += len(tags)
        self._tags |= {first + n: one for n, one in enumerate(tags)}  # the server may tell before it answers
        refused: dict[str, str] = {}
        most = self._session.most["create_monitored_items"]
        for begin in range(0, len(tags), most):
            stopped()
            part = tags[begin : begin + most]
            answers = await self._create([(found.node, first + begin + n) for n, (_, found) in enumerate(part)])
            for handle, ((tag, _), answer) in enumerate(zip(part, answers, strict=True), start=first + begin):
                if answer.StatusCode.is_bad():
                    del self._tags[handle]  # it is asked for again, for as long as the link lives
                    refused[tag.name] = f"it cannot be monitored: {status_name(answer.StatusCode.value)}"
        await self._read([one for one in tags if one[0].name not in refused])
        return refused

    async def reread(self) -> None:
        """Ask for all values: some were told and did not arrive."""
        self.gap = False
        await self._read(list(self._tags.values()))

    async def _read(self, tags: Sequence[tuple[Tag, Found]]) -> None:
        """At the start, too: what is told first may come a publishing interval later, or not at all."""
        asked_ns = time.monotonic_ns()
        values = await self._session.read([(found.node, VALUE, None) for _, found in tags])
        for (tag, found), value in zip(tags, values, strict=True):
            self._take(tag, found, value)
        if len(tags) == len(
            self._tags
        ):  # all of them were so when they were asked for: a server busy with items says nothing
            self.heard_ns = max(self.heard_ns, asked_ns)

    def check(self) -> None:
        """Raises `ConnectionLostError` once there will be no more notifications, `RefusedError` while the server does not run."""
        if self.ended:
            raise ConnectionLostError(f"the server ended the subscription: {self.ended}")
        if self.server_state != RUNNING:
            known = isinstance(self.server_state, int) and 0 <= self.server_state < len(SERVER_STATES)
            state = SERVER_STATES[self.server_state] if known else "a state that is none"
            raise RefusedError(f"the server is in {state}, not in Running", 0)

    async def _create(self, nodes: Sequence[tuple[ua.NodeId, int]]) -> list[Any]:
        def request(part: Sequence[tuple[ua.NodeId, int]]) -> Any:
            wanted = ua.CreateMonitoredItemsParameters(SubscriptionId=self._id)
            wanted.TimestampsToReturn = ua.TimestampsToReturn.Source
            for node, handle in part:
                one = ua.MonitoredItemCreateRequest(MonitoringMode=ua.MonitoringMode.Reporting)
                one.ItemToMonitor = ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds(VALUE))
                one.RequestedParameters = ua.MonitoringParameters(ClientHandle=handle, QueueSize=1, DiscardOldest=True)
                one.RequestedParameters.SamplingInterval = self._sampling_ms
                wanted.ItemsToCreate.append(one)
            return wanted

        return await self._session.batched(nodes, request, "create_monitored_items")

    async def _told(self, result: ua.PublishResult) -> None:
        """A message of the subscription has come: changes, or that there are none. The next is asked for after a rest as long as
        the thread has worked since the one before: a server that never stops talking takes half of a core."""
        self._take_message(result)
        await asyncio.sleep(min(time.thread_time() - self._worked_s, LONGEST_REST_S))
        self._worked_s = time.thread_time()

    def _take_message(self, result: ua.PublishResult) -> None:
        if result.SubscriptionId != self._id and self._id:
            return
        self.heard_ns = time.monotonic_ns()
        message = result.NotificationMessage
        self._count(message.SequenceNumber, bool(message.NotificationData))
        for data in message.NotificationData or ():
            if isinstance(data, ua.DataChangeNotification):
                for item in data.MonitoredItems:
                    self._changed(item.ClientHandle, item.Value)
            elif isinstance(data, ua.StatusChangeNotification):
                self.ended = status_name(data.Status.value)
        self.news.set()

    def _count(self, sequence: int, has_data: bool) -> None:
        """A message without data has the number that the next one with data will have."""
        self.gap |= sequence != self._next_sequence
        after = sequence % (_SEQUENCES - 1) + 1 if has_data else sequence
        self._next_sequence = after

    def _changed(self, handle: int, value: ua.DataValue) -> None:
        if handle == _STATE_HANDLE:
            if quality_of(value.StatusCode) == Quality.GOOD and value.Value is not None:
                self.server_state = value.Value.Value
        elif handle in self._tags:
            self._take(*self._tags[handle], value)

    def _take(self, tag: Tag, found: Found, value: ua.DataValue) -> None:
        first = self._cells[tag.name]
        cells = slice(first, first + tag.count)
        quality = quality_of(value.StatusCode)
        came = numbers(value.Value, found.builtin, found.first is not None) if quality != Quality.BAD else None
        part = came[found.first or 0 : (found.first or 0) + tag.count] if came is not None else []
        if value.SourceTimestamp is not None:
            self.source_times[tag.name] = value.SourceTimestamp
        if len(part) != tag.count:
            self.quality[cells] = Quality.BAD
            self.doubts[tag.name] = _why_none(tag, found, value)
            return
        self.raw[cells], self.quality[cells] = part, quality
        if quality == Quality.GOOD:
            self.doubts.pop(tag.name, None)
        else:
            self.doubts[tag.name] = status_of(value)


def _why_none(tag: Tag, found: Found, value: ua.DataValue) -> str:
    if quality_of(value.StatusCode) == Quality.BAD:
        return status_of(value)
    builtin = builtin_of(value.Value)
    if builtin == 0:
        return "the server has no value"
    if builtin != found.builtin:
        return f"it came as {type_name(builtin)}, and is a {type_name(found.builtin)}"
    if found.first is None:
        return "an array came, and it is one value"
    return f"it came without {tag.count} elements from {found.first} on"
