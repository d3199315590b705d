"""One client's session: who it is, what it may, and that it touches nothing of another's.

asyncua's own sessions may delete, acknowledge and take over each other's subscriptions, and are found by a number that counts
up; these look at whose they are, and have 256 random bits for a name.
"""

from __future__ import annotations

import asyncio
import math
import secrets
from collections.abc import Callable, Iterable
from typing import Any, Final

from asyncua import ua
from asyncua.common.utils import ServiceError, create_nonce
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.internal_session import InternalSession, SessionState

from plc_bindings.data.database import NotAllowedError
from plc_bindings.data.database import Session as Writing
from plc_bindings.opcua.codec import NotAValueError
from plc_bindings.opcua.host import Host
from plc_bindings.opcua.options import Role
from plc_bindings.opcua.ranges import RangeError, part
from plc_bindings.opcua.requests import Written
from plc_bindings.opcua.space import Reference
from plc_bindings.opcua.tree import Place
from plc_bindings.opcua.words import named, status

NONCE_BYTES: Final = 32
MOST_BROWSES: Final = 4
"""Of one session that wait to be continued; the oldest makes room."""
MOST_REFERENCES: Final = 10_000
"""In one answer; nodes that come after so many are asked for again."""
MOST_STEPS: Final = 32
"""Of a path from one node to another."""
_S = ua.StatusCodes


class Session(InternalSession):
    """Who speaks on a connection. `who`: for the audit log."""

    def __init__(self, engine: Any, address: str, external: bool) -> None:
        super().__init__(engine, engine.aspace, engine.subscription_service, address, User(), external)
        self.engine: Host = engine
        self.address = address
        self.role, self.user_name = Role.OBSERVER, ""
        self.channel: Any = None
        self.certificate = b""
        """Of the client that made it: nobody else goes on with it."""
        self._writing: Writing | None = None
        self._browses: dict[bytes, list[Reference]] = {}
        self.calls: Any = None
        if external:
            engine.unregister_external_session(self)
            self.auth_token = named(secrets.token_bytes(NONCE_BYTES))
            engine.register_external_session(self)

    @property
    def who(self) -> str:
        """`192.168.10.9 anna`."""
        return f"{self.address} {self.user_name}".strip()

    # --- its life -----------------------------------------------------------------------------------------------------

    async def create_session(
        self, params: ua.CreateSessionParameters, sockname: tuple[str, int] | None = None
    ) -> ua.CreateSessionResult:
        """Begin."""
        if not math.isfinite(params.RequestedSessionTimeout or 0.0):
            params.RequestedSessionTimeout = 0.0
        result = await super().create_session(params, sockname)
        result.MaxRequestMessageSize = self.engine.options.limits.message_bytes
        return result

    def activate(self, user: tuple[str, Role], channel: Any) -> ua.ActivateSessionResult:
        """This user goes on with it, in this channel: both are proven."""
        if user != (self.user_name, self.role):
            self._end_calls()  # a file that another user sends, and states of models, are not the new one's
        self.user_name, self.role = user
        self.user = User(UserRole.User, self.user_name)
        self.channel, self.address = channel, channel.name
        writable = self.engine.writable if self.role >= Role.OPERATOR else self.engine.nothing_writable
        self._writing = Writing(self.engine.reading.database, writable, self._refused, self.who)
        for one in self.engine.subscriptions.of(self.session_id).values():
            one.pub_result_callback = channel.forward_publish_response
            one.pub_request_callback = channel.get_publish_request
        result = ua.ActivateSessionResult()
        self.nonce = result.ServerNonce = create_nonce(NONCE_BYTES)
        self.state = SessionState.Activated
        self.touch()
        self._start_timeout_watchdog()
        return result

    async def close_session(self, delete_subs: bool = True) -> None:
        """End. Subscriptions end with it, whatever a client says: nobody could take them over."""
        self._end_calls()
        self._browses.clear()
        is_timeout = self._timeout_task is not None and self._timeout_task is asyncio.current_task()
        self.engine.diagnostics.counts.SessionTimeoutCount += is_timeout and self.state != SessionState.Closed
        await super().close_session(True)

    def _end_calls(self) -> None:
        if self.calls is not None:
            self.calls.close()
            self.calls = None

    def _refused(self, what: str) -> None:
        self.engine.audit(self.who, what, "refused: not writable")

    def limit(self, count: int) -> None:
        """Of what one request may ask for; raises `ServiceError`."""
        if count > self.engine.options.limits.nodes:
            raise ServiceError(_S.BadTooManyOperations)
        if not count:
            raise ServiceError(_S.BadNothingToDo)

    # --- values -------------------------------------------------------------------------------------------------------

    async def write(self, wanted: list[Written]) -> list[ua.StatusCode]:  # type: ignore[override]  # cut by hand
        """Write what is writable; all of one request at once."""
        self.limit(len(wanted))
        staged: list[tuple[Place, bytes] | int] = [self._staged(one) for one in wanted]
        writing = self._writing
        assert writing is not None

        def run() -> list[int]:
            writing.begin()
            answers = [_stage(writing, one) for one in staged]
            writing.commit()
            return answers

        return [status(code) for code in await self.engine.reading.there(run)]

    def _staged(self, one: Written) -> tuple[Place, bytes] | int:
        """Where it goes, in bytes; or why not."""
        node = self.engine.space.wanted(one.where)
        if node is None:
            self._refused(f"write of {one.where.node_id.to_string()}")
            return int(_S.BadNotWritable if one.where.node_id in self.aspace else _S.BadNodeIdUnknown)
        if one.where.attribute != ua.AttributeIds.Value or not isinstance(node.content, Place):
            self._refused(f"write of {node.path}")
            return int(_S.BadNotWritable)
        if not node.content.writable or self.role < Role.OPERATOR:
            self._refused(f"write of {node.path}")
            return int(_S.BadUserAccessDenied if node.content.writable else _S.BadNotWritable)
        if one.status != _S.Good:
            return int(_S.BadWriteNotSupported)
        try:
            place = part(node.content, one.where.range)
            return place, place.codec.decode(one.value)
        except (NotAValueError, RangeError) as error:
            return error.code

    # --- browsing -----------------------------------------------------------------------------------------------------

    async def browse(self, params: ua.BrowseParameters) -> list[ua.BrowseResult]:
        """References, at most so many at once; the others on `browse_next`."""
        self.limit(len(params.NodesToBrowse or ()))
        most, left, points = int(params.RequestedMaxReferencesPerNode or 0), MOST_REFERENCES, 0
        none_left = ua.BrowseResult(StatusCode=status(_S.BadNoContinuationPoints))
        results: list[ua.BrowseResult] = []
        for wanted in params.NodesToBrowse:
            node = self.engine.space.ours(wanted.NodeId)
            if left <= 0 or points >= MOST_BROWSES:  # the client asks again for those that are not answered
                results.append(none_left)
                continue
            if node is None:
                (found,) = self.engine.view.browse(ua.BrowseParameters(NodesToBrowse=[wanted]))
            else:
                found = self._page(list(self.engine.view.wanted(wanted, node)), most)
            left -= len(found.References)
            points += bool(found.ContinuationPoint)
            results.append(found)
            await asyncio.sleep(0)
        return results

    async def translate_browsepaths_to_nodeids(self, params: list[ua.BrowsePath]) -> list[ua.BrowsePathResult]:
        """Nodes at the ends of paths; with a turn for other clients after each."""
        self.limit(len(params or ()))
        results: list[ua.BrowsePathResult] = []
        for path in params:
            if not 0 < len(path.RelativePath.Elements or ()) <= MOST_STEPS:
                results.append(ua.BrowsePathResult(StatusCode=status(_S.BadBrowseNameInvalid)))
            else:
                results += self.engine.view.translate_browsepaths_to_nodeids([path])
            await asyncio.sleep(0)
        return results

    def _page(self, references: list[Reference], most: int) -> ua.BrowseResult:
        limit = self.engine.options.limits.nodes
        count = min(most, limit) if most else limit
        result = ua.BrowseResult()
        result.References = [self.engine.space.described(one) for one in references[:count]]
        if references[count:]:
            point = secrets.token_bytes(8)
            while len(self._browses) >= MOST_BROWSES:
                del self._browses[next(iter(self._browses))]
            self._browses[point] = references[count:]
            result.ContinuationPoint = point
        return result

    async def browse_next(self, parameters: ua.BrowseNextParameters) -> list[ua.BrowseResult]:
        """Go on where `browse` ended."""
        results = []
        for point in parameters.ContinuationPoints or ():
            left = self._browses.pop(bytes(point or b""), None)
            if left is None:
                results.append(ua.BrowseResult(StatusCode=status(_S.BadContinuationPointInvalid)))
            elif parameters.ReleaseContinuationPoints:
                results.append(ua.BrowseResult())
            else:
                results.append(self._page(left, 0))
        return results

    # --- subscriptions ------------------------------------------------------------------------------------------------

    def _own(self, number: int) -> Any:
        found = self.engine.subscriptions.of(self.session_id).get(number)
        if found is None:
            raise ServiceError(_S.BadSubscriptionIdInvalid)
        return found

    async def create_monitored_items(
        self, params: ua.CreateMonitoredItemsParameters
    ) -> list[ua.MonitoredItemCreateResult]:
        """Watch more; raises `ServiceError`."""
        subscription = self._own(params.SubscriptionId)
        asked = params.ItemsToCreate or []
        if len(asked) > self.engine.options.limits.items:
            raise ServiceError(_S.BadTooManyOperations)
        room = self.engine.subscriptions.room(self.session_id)
        subscription.stamps = stamps_of(params.TimestampsToReturn)
        params.ItemsToCreate = asked[:room]
        made = await self.engine.subscriptions.create_monitored_items(params)
        refused = ua.MonitoredItemCreateResult(StatusCode=status(_S.BadTooManyMonitoredItems))
        return [*made, *([refused] * (len(asked) - len(params.ItemsToCreate)))]

    async def modify_monitored_items(
        self, params: ua.ModifyMonitoredItemsParameters
    ) -> list[ua.MonitoredItemModifyResult]:
        """Change what is watched of one's own."""
        self._own(params.SubscriptionId)
        return self.subscription_service.modify_monitored_items(params)

    async def delete_monitored_items(self, params: ua.DeleteMonitoredItemsParameters) -> list[ua.StatusCode]:
        """Watch less of one's own."""
        self._own(params.SubscriptionId)
        return self.subscription_service.delete_monitored_items(params)

    async def set_monitoring_mode(self, params: ua.SetMonitoringModeParameters) -> list[ua.StatusCode]:
        """Of one's own."""
        self._own(params.SubscriptionId)
        return await self.subscription_service.set_monitoring_mode(params)

    async def set_publishing_mode(self, params: ua.SetPublishingModeParameters) -> list[ua.StatusCode]:
        """Of one's own."""
        own = self.engine.subscriptions.of(self.session_id)
        results = []
        for number in params.SubscriptionIds or ():
            if number in own:
                await own[number].set_publishing_mode(params.PublishingEnabled)
            results.append(status(_S.Good if number in own else _S.BadSubscriptionIdInvalid))
        return results

    def modify_subscription(self, params: ua.ModifySubscriptionParameters) -> ua.ModifySubscriptionResult:
        """Of one's own: how many values one answer may tell; else it stays as it was made, and says so."""
        own = self._own(params.SubscriptionId)
        own.most = params.MaxNotificationsPerPublish
        return super().modify_subscription(params)

    async def delete_subscriptions(self, ids: list[int]) -> list[ua.StatusCode]:
        """One's own."""
        own = self.engine.subscriptions.of(self.session_id)
        results = []
        for number in ids or ():
            known = await self.subscription_service.delete_subscriptions([number]) if number in own else None
            results.append(known[0] if known else status(_S.BadSubscriptionIdInvalid))
        return results

    def publish(self, acks: Iterable[ua.SubscriptionAcknowledgement] | None = None) -> tuple[int, list[ua.StatusCode]]:
        """Take what a client has got off one's own; raises `ServiceError` where there is none."""
        own = self.engine.subscriptions.of(self.session_id)
        if not own:
            raise ServiceError(_S.BadNoSubscription)
        results = []
        for ack in acks or ():
            known = own.get(ack.SubscriptionId)
            if known is not None:
                known.publish([ack.SequenceNumber])
            results.append(status(_S.Good if known is not None else _S.BadSubscriptionIdInvalid))
        return len(own), results

    def republish(self, params: ua.RepublishParameters) -> ua.NotificationMessage:
        """Once more; raises `ServiceError` of what is no longer kept."""
        own = self._own(params.SubscriptionId)
        if params.RetransmitSequenceNumber not in own._not_acknowledged_results:
            raise ServiceError(_S.BadMessageNotAvailable)
        message: ua.NotificationMessage = own.republish(params.RetransmitSequenceNumber)
        return message

    async def transfer_subscriptions(  # type: ignore[override]  # asyncua's own differs so, too
        self, params: ua.TransferSubscriptionsParameters, callback: Callable[..., Any]
    ) -> list[ua.TransferResult]:
        """None: they end with their session."""
        refused = status(_S.BadSubscriptionIdInvalid)
        return [ua.TransferResult(StatusCode=refused) for _ in params.SubscriptionIds or ()]

    # --- calls --------------------------------------------------------------------------------------------------------

    async def call(self, params: list[ua.CallMethodRequest]) -> list[ua.CallMethodResult]:
        """Call methods, one after another."""
        self.limit(len(params or ()))
        if self.calls is None:
            self.calls = self.engine.calls(self)
        return [await self.calls.call(one) for one in params or ()]


def _stage(writing: Writing, one: tuple[Place, bytes] | int) -> int:
    if isinstance(one, int):
        return one
    place, data = one
    try:
        writing.write(place.area, place.offset, data)
    except NotAllowedError:
        return int(_S.BadNotWritable)
    return int(_S.Good)


def stamps_of(wanted: ua.TimestampsToReturn) -> tuple[bool, bool]:
    """(source's, server's)."""
    both = ua.TimestampsToReturn.Both
    return wanted in (ua.TimestampsToReturn.Source, both), wanted in (ua.TimestampsToReturn.Server, both)
