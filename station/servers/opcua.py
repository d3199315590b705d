"""Servers of type "opcua": for SCADA, MES, and everything else that speaks OPC UA."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field

from station.servers import NetworkServerTable, Offer
from station.servers.shared.tokens import token_findings
from station.terms.findings import Finding, Step, unknown
from station.terms.tables import Array, Table

if TYPE_CHECKING:
    from plc_bindings.opcua.options import OpcUaOptions
    from plc_bindings.opcua.server import OpcUaServer
    from plc_bindings.security.access import Limits

ORDER = 30
USERS: Final = "users"
"""Where users' certificates are, in the folder of the applications'."""
INSTALL: Final = 'pip install "rt-engine[opcua]"'
PolicyName = Literal["Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss", "plain"]
RoleName = Literal["observer", "operator", "engineer"]


class NameplateTable(Table):
    """A machine's nameplate, for `Machines/NAME/Identification` (OPC 40001-1)."""

    manufacturer: str = Field(default="", description="Who built it.")
    manufacturer_uri: str = Field(default="", description="Names the manufacturer everywhere.")
    model: str = Field(default="", description="Its type.")
    product_code: str = Field(default="", description="To order another.")
    serial_number: str = Field(default="", description="Of this one.")
    product_instance_uri: str = Field(default="", description="Names this machine everywhere.")
    year_of_construction: int = Field(default=0, ge=0, le=9999, description="Four digits.")
    location: str = Field(default="", description="Where it stands.")
    asset_id: str = Field(default="", description="What the plant calls it.")
    component_name: str = Field(default="", description="What people call it.")

    def nouns(self) -> dict[str, str | int]:
        """As OPC 40001-1 names them; what is not said is not there."""
        said = ((key, getattr(self, key)) for key in type(self).model_fields)
        return {_noun(key): value for key, value in said if value}


def _noun(key: str) -> str:
    """`serial_number` -> `SerialNumber`."""
    return "".join(part.capitalize() for part in key.split("_"))


class OpcUaServerTable(NetworkServerTable):
    """An OPC UA server: tags, tasks, models and links as a typed address space. Closed to who has no certificate and no name."""

    takes_uploads = True

    type: Literal["opcua"]
    port: int = Field(default=4840, ge=0, le=65535, description="TCP port.")
    certificates: str = Field(
        default="opcua",
        description="Folder with the server's certificate and those that it trusts, as `rt-engine opcua certificate` makes it. "
        "Relative to this file.",
    )
    policies: Annotated[tuple[PolicyName, ...], Array] = Field(
        default=("Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss"),
        description='Security policies that clients may choose from; "plain" lets everybody on the wire read and change.',
    )
    modes: Annotated[tuple[Literal["Sign", "SignAndEncrypt"], ...], Array] = Field(
        default=("Sign", "SignAndEncrypt"), description="Are messages signed, or encrypted too?"
    )
    tokens: dict[str, str] = Field(
        default={},
        description='Users: `{ anna = "sha256:..." }`, as `rt-engine token anna` prints it; the token is the password.',
    )
    roles: dict[str, RoleName] = Field(
        default={},
        description="What a user may do: an observer reads; an operator also writes, predicts and resets; an engineer also updates, "
        "commits and rolls back models: what `writable` and `methods` name. Left out: observer.",
    )
    anonymous: bool = Field(default=False, description="May clients without a name read?")
    user_certificates: bool = Field(
        default=False,
        description="May users come with a certificate of their own (X.509) instead of a password? Those that lie in "
        "`users/trusted` in the folder `certificates`, or are signed by an authority there; the common name is the user's.",
    )
    methods: Annotated[tuple[str, ...], Array] = Field(
        default=(),
        description='What clients may call, `*` for any part: "Models.*.Predict", "Tasks.axis.Reset", "Models.policy.Commit", '
        '"Models.policy.Update". Nothing by default.',
    )
    subscriptions: int = Field(default=10, ge=0, le=1000, description="Of one session, at most.")
    monitored_items: int = Field(
        default=20_000,
        ge=0,
        le=1_000_000,
        description="Of one session, at most, at 0.4 KB each. A link watches one for each tag, and one more.",
    )
    message_bytes: int = Field(
        default=1 << 20, ge=65536, le=1 << 27, description="Of one request, at most; a model's file comes in several."
    )
    requests_per_second: int = Field(
        default=500, ge=1, le=1_000_000, description="Of one client, at most; one that asks oftener waits."
    )
    identification: NameplateTable = Field(default=NameplateTable(), description="The machine's nameplate.")

    def place(self) -> str:
        """`opcua at opc.tcp://192.168.10.2:4840/`."""
        return f"opcua at opc.tcp://{self.address}/"

    @property
    def is_plain(self) -> bool:
        """Is nothing encrypted, whoever comes?"""
        return self.policies == ("plain",)

    @property
    def encrypts(self) -> bool:
        """Where every channel is."""
        return "plain" not in self.policies and self.modes == ("SignAndEncrypt",)

    @property
    def asks_who(self) -> bool:
        """By a name and a password."""
        return not self.anonymous

    def findings(self, name: str, folder: Path) -> Iterator[Finding]:
        """Also: is there a certificate, can anybody come in, do names fit together?"""
        path = ("servers", name)
        yield from super().findings(name, folder)
        if importlib.util.find_spec("asyncua") is None:
            yield Finding((*path, "type"), f"OPC UA needs the package asyncua: {INSTALL}", "warning")
        yield from self._security_findings(path, folder)
        yield from token_findings(path, self.tokens)
        for who in self.roles:
            if who not in self.tokens and not self.user_certificates:
                yield Finding((*path, "roles", who), unknown("name of a token", who, self.tokens))
        if not self.tokens and not self.anonymous and not self.user_certificates:
            message = (
                "nobody can come in: give users tokens (`rt-engine token anna`), let them show certificates, "
                "user_certificates = true, or let everybody read, anonymous = true"
            )
            yield Finding(path, message)

    def _security_findings(self, path: tuple[Step, ...], folder: Path) -> Iterator[Finding]:
        for key in ("policies", "modes"):
            if not getattr(self, key):
                yield Finding((*path, key), "is empty: no client can connect; leave it out for all")
        if "plain" in self.policies:
            message = 'with "plain" everybody on the wire reads, and changes what is sent; for a first try on this computer alone'
            yield Finding((*path, "policies"), message, "warning")
        if not self.is_plain and not (folder / self.certificates / "own.der").is_file():
            message = f"holds no certificate; make one: rt-engine opcua certificate -f {folder / self.certificates}"
            yield Finding((*path, "certificates"), message)
        if self.is_plain and self.tokens:
            yield Finding((*path, "tokens"), "passwords are not taken where nothing is encrypted: another policy")
        if self.is_plain and self.user_certificates:
            message = "users' certificates prove nothing where nothing is signed: another policy"
            yield Finding((*path, "user_certificates"), message)

    def limits(self) -> Limits:
        """How much one client may have."""
        return replace(super().limits(), notifications=self.monitored_items)

    def options(self, offer: Offer) -> OpcUaOptions:
        """What the server is told."""
        from plc_bindings.opcua.options import ROLES, OpcUaLimits, OpcUaOptions
        from rt_native import version

        return OpcUaOptions(
            self.host,
            self.port,
            offer.station,
            f"urn:rt-engine:station:{offer.station}",
            None if self.is_plain else offer.folder / self.certificates,
            self.policies,
            self.modes,
            self.tokens,
            {who: ROLES[role] for who, role in self.roles.items()},
            self.anonymous,
            offer.folder / self.certificates / USERS if self.user_certificates else None,
            self.methods,
            {**self.identification.nouns(), "SoftwareRevision": version.TEXT},
            OpcUaLimits(self.connections, self.subscriptions, self.monitored_items, self.message_bytes),
            offer.page.avoid if offer.page is not None else frozenset(),
        )

    def make(self, offer: Offer) -> OpcUaServer:
        """An OPC UA server."""
        from plc_bindings.errors import ServerError

        try:
            from plc_bindings.opcua.server import OpcUaServer
        except ImportError as error:
            raise ServerError(f"OPC UA needs the package asyncua: {INSTALL} ({error})") from error
        return OpcUaServer(
            offer.database, offer.models, self.options(offer), self.access(offer.audit), uploads=offer.uploads
        )


TABLES = (OpcUaServerTable,)
