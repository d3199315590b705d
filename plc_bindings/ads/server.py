"""The ADS server: connections whose conversation is an `AdsSession`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from plc_bindings.ads.device import AdsOptions, Device
from plc_bindings.ads.repeated import AdsRepeatedCalls
from plc_bindings.ads.session import AdsSession
from plc_bindings.calls.replay import ReplaySelector
from plc_bindings.data.database import Database
from plc_bindings.data.models import Models
from plc_bindings.net.connection import ConnectionServer, Rules
from plc_bindings.net.serving import ServerStatus
from plc_bindings.security.access import Access, Client

RULES: Final = Rules(
    keep_alive={"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 10, "TCP_USER_TIMEOUT": 30_000},
    stuck=("answers are not fetched", "disconnected"),
    idle=("connection", "closed: idle"),
    high_water=256 * 1024,
)
"""From `high_water` on notifications are left out, too. A client that vanished is noticed within 30 s."""


class AdsServer(ConnectionServer):
    """An ADS server; see `plc_bindings.net.serving.Server`.

    Args:
        database: what clients read and write.
        models: what they call.
        options: where it is found.
        access: who may come, and how much.
        attributes: model name -> its custom attributes.
        uploads: client's name -> its model uploads; None: not enabled.
    """

    def __init__(
        self,
        database: Database,
        models: Models,
        options: AdsOptions | None = None,
        access: Access | None = None,
        *,
        attributes: Any = None,
        uploads: Any = None,
    ) -> None:
        self.options = options or AdsOptions()
        super().__init__(access or Access(), replace(RULES, idle_s=self.options.idle_s), "ads-call")
        self._device = Device(database, models, self.options, self.access)
        if attributes is not None:
            self._device.attributes = attributes
        self._device.uploads = uploads
        self._writable = database.writable(self.access.writable)
        self.address = (self.options.host, self.options.port)

    def status(self) -> ServerStatus:
        """How it does."""
        return self.status_of("ads")

    async def start(self) -> None:
        """Listen; raises `OSError`."""
        await self.listen(self.options.host, self.options.port)

    def conversation(self, client: Client, host: str) -> AdsSession:
        """With a new client, which has connected to the address `host`."""
        return AdsSession(self._device, client, self._writable, self._device.net_id(host))

    def repeated(
        self,
        conversation: AdsSession,
        selector: ReplaySelector,
        fd: int,
        client: Client,
        write: Callable[[bytes], None],
    ) -> AdsRepeatedCalls:
        """Its calls, for replays."""
        return AdsRepeatedCalls(conversation, selector, fd, client, write)
