"""What sessions, calls and connections ask of the engine, and of each other: so each can be read without the others."""

from __future__ import annotations

from typing import Any, Protocol

from plc_bindings.data.database import Writable
from plc_bindings.data.models import Models
from plc_bindings.opcua.diagnostics import Diagnostics
from plc_bindings.opcua.files import Transfers
from plc_bindings.opcua.monitoring import Subscriptions
from plc_bindings.opcua.options import OpcUaOptions, Role
from plc_bindings.opcua.reading import Reading
from plc_bindings.opcua.space import Space, View
from plc_bindings.opcua.tree import Tree
from plc_bindings.opcua.users import Users
from plc_bindings.security.access import Record


class Speaker(Protocol):
    """Who calls."""

    role: Role

    @property
    def who(self) -> str:
        """For the audit log."""


class Host(Protocol):
    """A server's parts, the same for all its sessions. `writable`: what its file names; `nothing_writable`: for who may not."""

    options: OpcUaOptions
    tree: Tree
    models: Models
    reading: Reading
    transfers: Transfers
    audit: Record
    writable: Writable
    nothing_writable: Writable
    space: Space
    view: View
    subscriptions: Subscriptions
    users: Users
    diagnostics: Diagnostics

    def calls(self, speaker: Speaker) -> Any:
        """What a session calls with."""
