"""Who a client says he is: a name and a password, which is a token as `rt-engine token NAME` makes them; or nobody.

A password travels in an encrypted channel as it is, in a signed one encrypted for our certificate with the newest nonce behind it
(OPC 10000-4, 7.41.4), never as it is where others can read it. RSA 1.5, whose answers give keys away, is not decrypted.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.crypto import uacrypto

from plc_bindings.opcua.options import OpcUaOptions, Role
from plc_bindings.security.access import Record
from plc_bindings.security.tokens import Tokens

ANONYMOUS: Final = "anonymous"
_LENGTH: Final = struct.Struct("<I")
_OAEP: Final = "http://www.w3.org/2001/04/xmlenc#rsa-oaep"
_OAEP_256: Final = "http://opcfoundation.org/UA/security/rsa-oaep-sha2-256"
_S = ua.StatusCodes


class Users:
    """All whom a server knows. Its thread only."""

    def __init__(self, options: OpcUaOptions, key: Any, audit: Record) -> None:
        self._options, self._key, self._audit = options, key, audit
        self._tokens = Tokens(options.tokens, {})
        self._roles = {name.lower(): role for name, role in options.roles.items()}

    def of(self, address: str, nonce: bytes, keeps_secrets: bool, token: Any) -> tuple[str, Role]:
        """Name and role of who comes with this identity token: newest nonce of his session, and whether his channel keeps secrets.

        Raises:
            ServiceError: he is not let in; the audit log says why.
        """
        if isinstance(token, ua.ExtensionObject) and not token:
            token = ua.AnonymousIdentityToken()  # OPC 10000-4, 5.7.3: none is anonymous
        if isinstance(token, ua.AnonymousIdentityToken):
            if self._options.anonymous:
                return ANONYMOUS, Role.OBSERVER
            return self._turn_away(address, "", "without a name", _S.BadIdentityTokenRejected)
        if not isinstance(token, ua.UserNameIdentityToken):
            return self._turn_away(address, "", "with a token of another kind", _S.BadIdentityTokenRejected)
        name = str(token.UserName or "")
        if self._tokens.is_tired_of(address):
            return self._turn_away(address, name, "too many wrong passwords", _S.BadUserAccessDenied)
        password = self._password(address, nonce, keeps_secrets, token)
        who = self._tokens.of_token(password, address)
        if not who or who.lower() != name.lower():
            return self._turn_away(address, name, "wrong name or password", _S.BadUserAccessDenied)
        return who, self._roles.get(who.lower(), Role.OBSERVER)

    def _turn_away(self, address: str, name: str, why: str, code: int) -> tuple[str, Role]:
        self._audit(f"{address} {name}".strip(), "activate session", f"refused: {why}")
        raise ServiceError(code)

    def _password(self, address: str, nonce: bytes, keeps_secrets: bool, token: ua.UserNameIdentityToken) -> str:
        secret = bytes(token.Password or b"")
        if not token.EncryptionAlgorithm:
            if not keeps_secrets:
                self._turn_away(address, "", "password not encrypted", _S.BadIdentityTokenInvalid)
            return secret.decode(errors="replace")
        try:
            if token.EncryptionAlgorithm == _OAEP:
                plain = uacrypto.decrypt_rsa_oaep(self._key, secret)
            elif token.EncryptionAlgorithm == _OAEP_256:
                plain = uacrypto.decrypt_rsa_oaep_sha256(self._key, secret)
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
