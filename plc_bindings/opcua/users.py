"""Who a client says he is: a name and a password, which is a token as `rt-engine token NAME` makes them; a certificate of his own
(X.509) that is trusted as a user's, whose common name is his; or nobody.

A password travels in an encrypted channel as it is, in a signed one encrypted for our certificate with the newest nonce behind it
(OPC 10000-4, 7.41.4), never as it is where others can read it. RSA 1.5, whose answers give keys away, is not decrypted. A user's
certificate comes with our certificate and the newest nonce, signed with its key (7.41.5). RSA runs apart.
"""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NoReturn

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.crypto import uacrypto

from fieldbus.errors import UntrustedError
from fieldbus.opcua.certificates import Certificates
from plc_bindings.opcua.options import OpcUaOptions, Role
from plc_bindings.security.access import Record
from plc_bindings.security.tokens import Tokens

ANONYMOUS: Final = "anonymous"
_LENGTH: Final = struct.Struct("<I")
_OAEP: Final = "http://www.w3.org/2001/04/xmlenc#rsa-oaep"
_OAEP_256: Final = "http://opcfoundation.org/UA/security/rsa-oaep-sha2-256"
_VERIFIED: Final[Mapping[str, Any]] = {
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256": uacrypto.verify_sha256,
    "http://opcfoundation.org/UA/security/rsa-pss-sha2-256": uacrypto.verify_pss_sha256,
}
"""Signatures of users' keys."""
_S = ua.StatusCodes
Apart = Callable[..., Awaitable[Any]]


class Users:
    """All whom a server knows. Its thread only.

    Args:
        options: of the server.
        certificate: the server's, in DER form; `key`: its private key.
        audit: where refusals go.
        apart: runs what costs milliseconds beside the server's thread.
    """

    def __init__(self, options: OpcUaOptions, certificate: bytes, key: Any, audit: Record, apart: Apart) -> None:
        self._options, self._certificate, self._key, self._audit = options, certificate, key, audit
        self._apart = apart
        self._tokens = Tokens(options.tokens, {})
        self._roles = {name.lower(): role for name, role in options.roles.items()}
        self._folder = Certificates(options.user_certificates) if options.user_certificates is not None else None

    async def of(
        self, address: str, nonce: bytes, keeps_secrets: bool, params: ua.ActivateSessionParameters
    ) -> tuple[str, Role]:
        """Name and role of who comes with this identity token: newest nonce of his session, and whether his channel keeps secrets.

        Raises:
            ServiceError: he is not let in; the audit log says why.
        """
        token: Any = params.UserIdentityToken
        if token is None or (isinstance(token, ua.ExtensionObject) and not token):
            token = ua.AnonymousIdentityToken()  # OPC 10000-4, 5.7.3: none is anonymous
        if isinstance(token, ua.AnonymousIdentityToken):
            if self._options.anonymous:
                return ANONYMOUS, Role.OBSERVER
            self._turn_away(address, "", "without a name", _S.BadIdentityTokenRejected)
        if isinstance(token, ua.UserNameIdentityToken):
            who = await self._named(address, nonce, keeps_secrets, token)
        elif isinstance(token, ua.X509IdentityToken) and self._folder is not None:
            who = await self._certified(address, nonce, bytes(token.CertificateData or b""), params.UserTokenSignature)
        else:
            self._turn_away(address, "", "with a token of another kind", _S.BadIdentityTokenRejected)
        return who, self._roles.get(who.lower(), Role.OBSERVER)

    async def _named(self, address: str, nonce: bytes, keeps_secrets: bool, token: ua.UserNameIdentityToken) -> str:
        name = str(token.UserName or "")
        self._look_at(address, name)
        password = await self._password(address, nonce, keeps_secrets, token)
        self._look_at(address, name)
        who = self._tokens.of_token(password, address)
        if not who or who.lower() != name.lower():
            self._turn_away(address, name, "wrong name or password", _S.BadUserAccessDenied)
        return who

    def _look_at(self, address: str, name: str) -> None:
        if self._tokens.is_tired_of(address):
            self._turn_away(address, name, "too many wrong passwords", _S.BadUserAccessDenied)

    async def _certified(self, address: str, nonce: bytes, der: bytes, proof: ua.SignatureData) -> str:
        assert self._folder is not None
        try:
            known = await self._apart(self._folder.check, der)
        except UntrustedError as error:
            self._turn_away(address, "", f"user's certificate: {error}", _S.BadIdentityTokenRejected)
        verify = _VERIFIED.get(str(proof.Algorithm or ""))
        try:
            if verify is None:
                raise ValueError("of another algorithm")
            await self._apart(verify, known.certificate, self._certificate + nonce, bytes(proof.Signature or b""))
        except Exception:  # whatever cryptography says of bytes from outside
            self._turn_away(address, known.name, "his key is not proven", _S.BadUserSignatureInvalid)
        return str(known.name)

    def _turn_away(self, address: str, name: str, why: str, code: int) -> NoReturn:
        self._audit(f"{address} {name}".strip(), "activate session", f"refused: {why}")
        raise ServiceError(code)

    async def _password(self, address: str, nonce: bytes, keeps_secrets: bool, token: ua.UserNameIdentityToken) -> str:
        secret = bytes(token.Password or b"")
        if not token.EncryptionAlgorithm:
            if not keeps_secrets:
                self._turn_away(address, "", "password not encrypted", _S.BadIdentityTokenInvalid)
            return secret.decode(errors="replace")
        try:
            if token.EncryptionAlgorithm == _OAEP:
                plain = await self._apart(uacrypto.decrypt_rsa_oaep, self._key, secret)
            elif token.EncryptionAlgorithm == _OAEP_256:
                plain = await self._apart(uacrypto.decrypt_rsa_oaep_sha256, self._key, secret)
            else:
                plain = b""
        except Exception:  # whatever cryptography says of bytes from outside: one answer for all
            plain = b""
        return self._unpacked(address, nonce, plain)

    def _unpacked(self, address: str, nonce: bytes, plain: bytes) -> str:
        """Length (4) | password | the newest nonce that we sent."""
        length = _LENGTH.unpack_from(plain)[0] if len(plain) >= _LENGTH.size else -1
        body = plain[_LENGTH.size : _LENGTH.size + max(length, 0)]
        if length < len(nonce) or len(body) != length or body[length - len(nonce) :] != nonce:
            self._turn_away(address, "", "password not encrypted for this session", _S.BadIdentityTokenInvalid)
        return body[: length - len(nonce)].decode(errors="replace")
