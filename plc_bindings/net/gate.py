"""TLS on a server's connections, with the limits in force from the first byte: a handshake already takes up a place.

TCP connection -> address allowed, a place free? -> handshake -> `connection_made` of the server's own protocol
                       no: closed at once             fails, or takes too long: closed
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, Final

from plc_bindings.security.access import Access, Client


def tls_context(certificate: str, key: str, ca: str) -> ssl.SSLContext:
    """TLS 1.2 or newer; only clients whose certificate `ca` signed, anybody where that is empty.

    Raises:
        OSError: a file is missing or wrong.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    if ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(ca)
    return context


def in_words(error: OSError) -> str:
    """Why a handshake ended. What a client says of our certificate comes as its alert: `..._ALERT_CERTIFICATE_EXPIRED`."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _OF_CERTIFICATES.get(error.verify_code) or f"the client's certificate: {error.verify_message}"
    reason = str(getattr(error, "reason", None) or error or type(error).__name__)
    return _OF_REASONS.get(reason, reason)


_STRANGER: Final = "the client's certificate is of another authority than ca_file"
_OF_CERTIFICATES: Final = {
    7: _STRANGER,  # the authority's name, and not its signature
    9: "the client's certificate is not valid yet: compare the clocks",
    10: "the client's certificate has expired",
    18: _STRANGER,
    19: _STRANGER,
    20: _STRANGER,
    21: _STRANGER,
}
"""X509_V_ERR_... of OpenSSL -> words."""
_OF_REASONS: Final = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the client showed no certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the client says that our certificate has expired (cert_file)",
    "TLSV1_ALERT_UNKNOWN_CA": "the client does not know the authority of our certificate (cert_file)",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the client takes our certificate for a bad one (cert_file)",
}
"""Reasons of OpenSSL -> words."""


class Gate(asyncio.Protocol):
    """One TCP connection until its handshake is done.

    Args:
        access: who may come.
        context: of the server.
        handshake_s: how long a handshake may take.
        make: gives the protocol that takes over, with a TLS transport.
    """

    def __init__(
        self, access: Access, context: ssl.SSLContext, handshake_s: float, make: Callable[[], asyncio.Protocol]
    ) -> None:
        self._access, self._context, self._handshake_s, self._make = access, context, handshake_s, make
        self._shaking: asyncio.Task[None] | None = None
        self._client: Client | None = None
        self._early = b""
        self._has_ended = self._is_secure = False

    def connection_made(self, transport: Any) -> None:
        """Begin the handshake; afterwards this is called no more."""
        transport.pause_reading()  # the handshake's bytes are not for us
        peer = transport.get_extra_info("peername")
        self._client = self._access.expect(peer[0] if peer else "?")
        if self._client is None:
            transport.abort()
            return
        self._shaking = asyncio.get_running_loop().create_task(self._shake(transport, self._client))

    def data_received(self, data: bytes) -> None:
        """What came together with the end of the handshake."""
        self._early += data

    def connection_lost(self, exc: Exception | None) -> None:
        """During the handshake, or just after it."""
        self._has_ended = True

    async def _shake(self, transport: Any, client: Client) -> None:
        loop = asyncio.get_running_loop()
        try:
            secure: Any = await loop.start_tls(
                transport, self, self._context, server_side=True, ssl_handshake_timeout=self._handshake_s
            )
            self._is_secure = True
        except OSError as error:
            self._access.audit(client.name, "TLS handshake", f"refused: {in_words(error)}")
            return
        finally:
            self._access.release(client)
            if not self._is_secure:
                transport.abort()
        if secure is None or self._has_ended:
            return
        protocol = self._make()
        secure.set_protocol(protocol)
        protocol.connection_made(secure)
        if self._early:
            protocol.data_received(self._early)
