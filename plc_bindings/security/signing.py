"""Signatures of model files (Ed25519): who signed, for which slot of a station, and in which order.

    model.onnx.sig, 72 bytes:   serial number (8 bytes, low byte first) | Ed25519 signature (64 bytes)
    what is signed:             "rt-engine model\\0" | slot name | 0 | serial number | SHA-256 of the file

The slot's name keeps a file that was signed for one slot out of another. The serial number is the time of signing in
milliseconds, unless the signer chooses: a station takes no file that was signed before the one it took last, so an old file
with a known weakness cannot be put back by whoever still has it; whoever has the key signs it once more.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from plc_bindings.errors import SigningError
from rt_native.files import open_file

PREFIX: Final = "ed25519:"
SUFFIX: Final = ".sig"
SIGNATURE_BYTES: Final = 72
"""Of a .sig file: serial number (8), Ed25519 signature (64)."""
_CONTEXT: Final = b"rt-engine model\0"
_SERIAL: Final = struct.Struct("<Q")
_KEY_BYTES: Final = 32
_MODE: Final = 0o600


@dataclass(frozen=True, slots=True)
class PublicKey:
    """Who may sign. `text` is the line for the station file."""

    raw: bytes

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """The key of a line `ed25519:BASE64`.

        Raises:
            SigningError: it is none.
        """
        try:
            raw = base64.b64decode(text.removeprefix(PREFIX), validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if not text.startswith(PREFIX) or len(raw) != _KEY_BYTES:
            shown = text if len(text) <= 80 else f"{text[:80]}..."
            raise SigningError(f'"{shown}" is no public key; `rt-engine keygen` prints one, "{PREFIX}..."')
        return cls(raw)

    @property
    def text(self) -> str:
        """As it stands in the station file."""
        return PREFIX + base64.b64encode(self.raw).decode()


def generate(private: Path) -> PublicKey:
    """Write a new private key (PEM, for its owner alone) to a file that is not there yet.

    Raises:
        SigningError: the file is there, or cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        file = os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    except FileExistsError as error:
        raise SigningError(
            f"{private} is there already, and a key is never overwritten; choose another name"
        ) from error
    except OSError as error:
        raise SigningError(f"{private} cannot be written: {error.strerror}") from error
    try:
        with open(file, "wb") as target:
            target.write(pem)
    except OSError as error:
        private.unlink(missing_ok=True)
        raise SigningError(f"{private} cannot be written: {error.strerror}") from error
    return PublicKey(key.public_key().public_bytes_raw())


def load_private(path: Path) -> Ed25519PrivateKey:
    """The private key in a file.

    Raises:
        SigningError: there is none, it is of another kind, or others may read it.
    """
    try:
        with open_file(path) as source:
            shared = os.fstat(source.fileno()).st_mode & 0o077
            pem = source.read(1 << 16)
        key = load_pem_private_key(pem, password=None)
    except OSError as error:
        raise SigningError(f"{path} cannot be read: {error.strerror}") from error
    except TypeError as error:
        raise SigningError(f"{path} is locked with a password; unlock a copy: openssl pkey -in {path}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SigningError(f"{path} holds no private key in PEM form; `rt-engine keygen` makes one") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningError(f"{path} holds a key that is not Ed25519; `rt-engine keygen` makes one")
    if shared:
        raise SigningError(f"{path} can be read by others than its owner: chmod 600 {path}, or a new key if in doubt")
    return key


def sign(key: Ed25519PrivateKey, slot: str, model: bytes, serial: int | None = None) -> bytes:
    """The detached signature (72 bytes) of a model file's bytes for a slot. `serial`: by default milliseconds since 1970."""
    number = time.time_ns() // 1_000_000 if serial is None else serial
    return _SERIAL.pack(number) + key.sign(_message(slot, number, hashlib.sha256(model).digest()))


def serial_of(signature: bytes) -> int:
    """The serial number in a signature. Not to be trusted before `verify`."""
    return int(_SERIAL.unpack_from(signature)[0])


def verify(keys: tuple[PublicKey, ...], slot: str, digest: bytes, signature: bytes) -> PublicKey | None:
    """Which of the keys signed the file with this SHA-256 for this slot; None: none did."""
    if len(signature) != SIGNATURE_BYTES:
        return None
    message = _message(slot, serial_of(signature), digest)
    for key in keys:
        try:
            Ed25519PublicKey.from_public_bytes(key.raw).verify(signature[_SERIAL.size :], message)
        except InvalidSignature:
            continue
        return key
    return None


def _message(slot: str, serial: int, digest: bytes) -> bytes:
    return _CONTEXT + slot.encode() + b"\0" + _SERIAL.pack(serial) + digest
