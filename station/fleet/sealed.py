"""Signed texts: who wrote them, what they are, and for whom, so that what carries them needs no trust.

    ed25519:PUBLIC-KEY SIGNATURE\\n      the key that signed, and its signature in base64
    {...}                               the text, JSON

    what is signed:     "rt-engine fleet\\0" | kind | 0 | name | 0 | text

A document of one kind, or for one name, is none of another. Nothing of the text is parsed before its signature is found good.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from plc_bindings.errors import SigningError
from plc_bindings.security.signing import PublicKey, load_private

MOST_BYTES: Final = 64 << 10
"""Of a document, with its signature."""
_CONTEXT: Final = b"rt-engine fleet\0"
_MOST_HEAD: Final = 160


class ForgedError(Exception):
    """A document that nobody who may has written; the message says what is wrong with it."""


def public_of(key: Ed25519PrivateKey) -> PublicKey:
    """The public part of a key."""
    return PublicKey(key.public_key().public_bytes_raw())


def load_signer(path: Path) -> Ed25519PrivateKey:
    """The private key in a file. Raises SigningError: there is none, or it is of a kind that signs no documents."""
    key = load_private(path)
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningError(f"{path} is no Ed25519 key, which signs orders and reports; `rt-engine keygen` makes one")
    return key


def seal(key: Ed25519PrivateKey, kind: str, name: str, text: bytes) -> bytes:
    """The document: a text of this kind, for this name, signed."""
    signature = base64.b64encode(key.sign(_message(kind, name, text)))
    return b"%s %s\n%s" % (public_of(key).text.encode(), signature, text)


def opened(data: bytes, kind: str, name: str, keys: Collection[PublicKey] | None) -> tuple[bytes, PublicKey]:
    """The text of a document, and who signed it. `keys`: who may; None: whoever says so in it.

    Raises:
        ForgedError: none of them did, or not for this kind and name.
    """
    if len(data) > MOST_BYTES:
        raise ForgedError(f"it has {len(data):,} bytes; at most {MOST_BYTES:,}")
    head, end, text = data.partition(b"\n")
    words = head[:_MOST_HEAD].decode("ascii", "replace").split(" ")
    if not end or len(head) > _MOST_HEAD or len(words) != 2:
        raise ForgedError("it does not begin with a key and a signature")
    try:
        key, signature = PublicKey.parse(words[0]), base64.b64decode(words[1], validate=True)
    except (SigningError, binascii.Error, ValueError):
        raise ForgedError("it does not begin with a key and a signature") from None
    if key.text != words[0] or base64.b64encode(signature).decode() != words[1]:  # one document has one form
        raise ForgedError("its key or its signature is not written as base64 is")
    if keys is not None and key not in keys:
        raise ForgedError(f"it is signed with {key.text}, which is not trusted here")
    try:
        Ed25519PublicKey.from_public_bytes(key.raw).verify(signature, _message(kind, name, text))
    except (InvalidSignature, ValueError):
        raise ForgedError(f"its signature is not that of a {kind} document for {name}") from None
    return text, key


def _message(kind: str, name: str, text: bytes) -> bytes:
    return b"%s%s\0%s\0%s" % (_CONTEXT, kind.encode(), name.encode(), text)
