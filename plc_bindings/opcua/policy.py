"""A security policy for one connection: a client's certificate is believed before anything is made of it.

asyncua looks at it when a session is made, if the client sends it once more with that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.crypto import security_policies

Believes = Callable[[bytes, str | None, str], str]
"""(a client's certificate in DER, the application that it says it is or None, its address) -> the name of OPC UA's code for why it
is not believed; "": it is."""


class Policy(security_policies.SecurityPolicyFactory):
    """A security policy that looks at whom it serves: asyncua's looks when a session is made, if a certificate comes with that."""

    def __init__(self, made: security_policies.SecurityPolicyFactory, believes: Believes, address: str) -> None:
        super().__init__(made.cls, made.mode, made.certificate, made.private_key, made.permission_ruleset)
        self._believes, self._address = believes, address

    def create(self, peer_certificate: bytes | None) -> Any:
        """For one client; raises `ServiceError` for one that is not believed."""
        if self.cls is not security_policies.SecurityPolicyNone:
            why = self._believes(peer_certificate or b"", None, self._address)
            if why:  # OPC 10000-4, 6.1.3: who is not trusted is not told why
                raise ServiceError(ua.StatusCodes.BadSecurityChecksFailed)
        return super().create(peer_certificate)
