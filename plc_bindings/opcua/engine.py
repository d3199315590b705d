"""asyncua's server, of parts that know our tree, our users and our limits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Final

from asyncua import Server, ua
from asyncua.common.node import Node as UaNode
from asyncua.common.utils import ServiceError
from asyncua.server.address_space import AttributeService, MethodService, NodeManagementService
from asyncua.server.internal_server import InternalServer

from fieldbus.opcua.certificates import der_of
from plc_bindings.calls.pace import Paces
from plc_bindings.calls.predict import Predictor
from plc_bindings.data.models import Models
from plc_bindings.opcua.build import enumeration_of
from plc_bindings.opcua.diagnostics import Diagnostics
from plc_bindings.opcua.files import Transfers
from plc_bindings.opcua.host import Speaker
from plc_bindings.opcua.methods import Calls
from plc_bindings.opcua.monitoring import Subscriptions
from plc_bindings.opcua.options import PLAIN, OpcUaOptions
from plc_bindings.opcua.policy import Believes
from plc_bindings.opcua.reading import Reading
from plc_bindings.opcua.session import Session
from plc_bindings.opcua.space import NAMESPACE, Space, View
from plc_bindings.opcua.tree import Tree
from plc_bindings.opcua.users import Users
from plc_bindings.opcua.words import standard
from plc_bindings.security.access import Access, Record
from rt_native import version

SESSION_MS: Final = (5_000.0, 60_000.0)
"""A session that is silent for so long has ended: bounds of what a client asks for."""
KEPT_MESSAGES: Final = 8
"""Notifications of a subscription that wait for the client's word that it has them."""
KEEP_ALIVE_COUNT: Final = 1000
CLOCK_S: Final = 1.0
WORKERS: Final = 2
PRODUCT: Final = "urn:rt-engine:product"
_S = ua.StatusCodes


class Engine(InternalServer):
    """One server, without its socket. Its own thread only."""

    def __init__(
        self, options: OpcUaOptions, tree: Tree, models: Models, reading: Reading, transfers: Transfers, access: Access
    ) -> None:
        super().__init__()
        self.options, self.tree, self.models, self.reading, self.transfers = options, tree, models, reading, transfers
        self.audit: Record = access.audit
        database = reading.database
        self.writable, self.nothing_writable = database.writable(access.writable), database.writable(())
        self.space = self.aspace = Space(tree, lambda node: enumeration_of(tree, database, node))
        self.view = self.view_service = View(self.space)
        self.attribute_service = AttributeService(self.space)
        self.method_service.stop()
        self.method_service = MethodService(self.space)
        self.node_mgt_service = NodeManagementService(self.space)
        limits = options.limits
        self.subscriptions = Subscriptions(self.space, self, limits.subscriptions, limits.items)
        self.subscription_service = self.subscriptions
        self.isession = self._inner()
        self.current_time_node = UaNode(self.isession, standard(ua.ObjectIds.Server_ServerStatus_CurrentTime))
        self.server_status_node = UaNode(self.isession, standard(ua.ObjectIds.Server_ServerStatus))
        self.min_session_timeout_ms, self.max_session_timeout_ms = SESSION_MS
        self.max_unacked_messages_per_subscription = KEPT_MESSAGES
        self.max_monitored_item_queue_size = KEPT_MESSAGES
        self.max_keep_alive_count = KEEP_ALIVE_COUNT
        self.disabled_clock = True
        self.match_discovery_source_ip = True
        self.diagnostics = Diagnostics(self)
        self.users = Users(options, b"", None, self.audit, self.apart)
        self.policies: list[Any] = []
        self.believes: Believes = lambda der, uri, address: "BadSecurityChecksFailed"
        self._paces, self._pool = Paces(), ThreadPoolExecutor(WORKERS, "opcua-call")
        self._rsa = ThreadPoolExecutor(1, "opcua-rsa")

    def _inner(self) -> Any:
        from asyncua.crypto.permission_rules import User, UserRole
        from asyncua.server.internal_session import InternalSession

        return InternalSession(self, self.space, self.subscriptions, "Internal", user=User(role=UserRole.Admin))

    async def open(self, certificate: Any, key: Any, believes: Believes, url: str) -> None:
        """Fill the address space, and say at which endpoints there is what. Takes seconds of the processor."""
        options = self.options
        self.certificate, self.private_key = certificate, key
        self.users = Users(options, b"" if certificate is None else der_of(certificate), key, self.audit, self.apart)
        server = Server(iserver=self)
        server.name, server.manufacturer_name = f"rt-engine {options.station}", "rt-engine"
        server.product_uri, server.application_type = PRODUCT, ua.ApplicationType.Server
        server._application_uri = options.application_uri
        server.set_endpoint(url)
        server.set_security_policy(_policies(options))
        server.set_identity_tokens(_tokens(options))
        await server.init()
        await server.set_build_info(PRODUCT, "rt-engine", server.name, version.TEXT, version.TEXT, datetime.now(UTC))
        await server.register_namespace(NAMESPACE)
        self.space.hang_in()
        await self._say_limits()
        await server._setup_server_nodes()
        await self.diagnostics.open()
        self.believes = believes
        self.policies = list(server._policies)
        await self.start()

    async def _say_limits(self) -> None:
        """OPC 10000-5, 6.3.11: OperationLimits."""
        most, ids = self.options.limits.nodes, ua.ObjectIds
        limits = "Server_ServerCapabilities_OperationLimits_"
        for name in ("Read", "Write", "MethodCall", "Browse", "RegisterNodes", "TranslateBrowsePathsToNodeIds"):
            node = UaNode(self.isession, standard(getattr(ids, f"{limits}MaxNodesPer{name}")))
            await node.write_value(ua.Variant(most, ua.VariantType.UInt32))
        items = UaNode(self.isession, standard(getattr(ids, f"{limits}MaxMonitoredItemsPerCall")))
        await items.write_value(ua.Variant(self.options.limits.items, ua.VariantType.UInt32))

    async def tick(self) -> None:
        """Keep the standard's clock and counts."""
        while True:
            await self.diagnostics.tick()
            await asyncio.sleep(CLOCK_S)

    async def close(self) -> None:
        """End all sessions."""
        for session in tuple(self._external_sessions.values()):
            await session.close_session()
        await self.stop()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._rsa.shutdown(wait=False, cancel_futures=True)

    async def apart(self, work: Callable[..., Any], *given: Any) -> Any:
        """Do what costs milliseconds (RSA, files of certificates) in one thread beside ours, which answers others meanwhile."""
        return await asyncio.get_running_loop().run_in_executor(self._rsa, work, *given)

    # --- what asyncua asks --------------------------------------------------------------------------------------------

    @property
    def sessions(self) -> int:
        """So many there are now."""
        return len(self._external_sessions)

    def create_session(self, name: Any, user: Any = None, external: bool = False) -> Session:
        """Another; raises `ServiceError` where there are enough."""
        if external and self.sessions >= self.options.limits.sessions:
            self.diagnostics.counts.RejectedSessionCount += 1
            self.audit(str(name), "create session", "refused: too many sessions")
            raise ServiceError(_S.BadTooManySessions)
        self.diagnostics.counts.CumulatedSessionCount += external
        return Session(self, str(name), external)

    def known(self, token: ua.NodeId) -> Session | None:
        """The session of this name."""
        found = self._external_sessions.get(token)
        return found if isinstance(found, Session) else None

    def register_server(self, server: Any, conf: Any = None) -> None:
        """We are no discovery server."""
        raise ServiceError(_S.BadServiceUnsupported)

    def calls(self, speaker: Speaker) -> Calls:
        """What a session calls with."""
        return Calls(self, speaker, Predictor(self.models, paces=self._paces), self._pool)


def _policies(options: OpcUaOptions) -> list[ua.SecurityPolicyType]:
    if options.certificates is None:
        return [ua.SecurityPolicyType.NoSecurity]
    named = [f"{policy}_{mode}" for policy in options.policies if policy != PLAIN for mode in options.modes]
    first = [ua.SecurityPolicyType.NoSecurity] if PLAIN in options.policies else []
    return [*first, *(ua.SecurityPolicyType[name] for name in named)]


def _tokens(options: OpcUaOptions) -> list[type]:
    kinds = {
        ua.AnonymousIdentityToken: options.anonymous,
        ua.X509IdentityToken: options.user_certificates is not None,
        ua.UserNameIdentityToken: bool(options.tokens),
    }
    return [kind for kind, is_taken in kinds.items() if is_taken]
