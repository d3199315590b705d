"""What one OPC UA server is told: where it is, how it is secured, who may what, and how much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Final


class Role(IntEnum):
    """What a user may do; each all that those before it may."""

    OBSERVER = 0
    """Read, browse, subscribe."""
    OPERATOR = 1
    """Write, predict, reset: where the station file names it."""
    ENGINEER = 2
    """Send a model, commit it, roll it back: where the station file names it."""


ROLES: Final = {role.name.lower(): role for role in Role}
POLICIES: Final = ("Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss")
MODES: Final = ("Sign", "SignAndEncrypt")
PLAIN: Final = "plain"
MOST_ANSWER_BYTES: Final = 16 << 20
"""Of one answer, where its client sets no limit."""


@dataclass(frozen=True, slots=True)
class OpcUaLimits:
    """How much there may be at most. `subscriptions`, `items`: of one session."""

    sessions: int = 32
    subscriptions: int = 10
    items: int = 20_000
    message_bytes: int = 1 << 20
    nodes: int = 1000
    """In one request; more references than that are browsed in several."""


@dataclass(frozen=True, slots=True)
class OpcUaOptions:
    """One server. Port 0: a free one.

    Args:
        application_uri: names this server in the plant, where no certificate does.
        certificates: the folder with our certificate and those that are trusted (`fieldbus.opcua.certificates`); None: nothing is
            encrypted, and nobody shows one.
        policies: of `POLICIES`, or `PLAIN`; `modes`: of `MODES`.
        tokens: user -> hash of his password.
        roles: user -> what he may; left out: observe.
        anonymous: may clients without a name look?
        user_certificates: the folder with certificates of users, as `certificates` is one of applications; None: there are none.
        methods: patterns of those that clients may call.
        avoid: processors that belong to tasks.
    """

    host: str = "127.0.0.1"
    port: int = 4840
    station: str = "station"
    application_uri: str = "urn:rt-engine:station:station"
    certificates: Path | None = None
    policies: tuple[str, ...] = POLICIES
    modes: tuple[str, ...] = MODES
    tokens: Mapping[str, str] = field(default_factory=dict)
    roles: Mapping[str, Role] = field(default_factory=dict)
    anonymous: bool = False
    user_certificates: Path | None = None
    methods: tuple[str, ...] = ()
    identification: Mapping[str, str | int] = field(default_factory=dict)
    limits: OpcUaLimits = field(default_factory=OpcUaLimits)
    avoid: frozenset[int] = frozenset()
