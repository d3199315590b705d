"""Signatures of model files: who signed, for which slot of a station, and in which order.

    model.onnx.sig, 72 bytes:   serial number (8 bytes, low byte first) | Ed25519 signature (64 bytes)
    what is signed:             "rt-engine model\\0" | slot name | 0 | serial number | SHA-256 of the file

    model.onnx.sigstore.json:   the same said in a bundle of OpenSSF model-signing, made with an ECDSA key (`bundles.py`)

Wherever a signature is taken it may be either: its length tells.

The slot's name keeps a file that was signed for one slot out of another. The serial number is the time of signing in
milliseconds, unless the signer chooses: a station takes no file that was signed before the one it took last, so an old file
with a known weakness cannot be put back by whoever still has it; whoever has the key signs it once more.
"""

from __future__ import annotations

import base64
import hashlib
import os
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
    load_pem_private_key,
)

from plc_bindings.errors import SigningError
from plc_bindings.security import bundles
from rt_native.files import open_file

ED25519: Final = "ed25519"
ECDSA: Final = "ecdsa"
SUFFIX: Final = ".sig"
SIGNATURE_BYTES: Final = 72
"""Of a .sig file: serial number (8), Ed25519 signature (64)."""
_CONTEXT: Final = b"rt-engine model\0"
_SERIAL: Final = struct.Struct("<Q")
_KEY_BYTES: Final = 32
_MODE: Final = 0o600


PrivateKey = Ed25519PrivateKey | EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class PublicKey:
    """Who may sign. `text` is the line for the station file."""

    raw: bytes
    """Ed25519: its 32 bytes. ECDSA: SubjectPublicKeyInfo in DER."""
    kind: str = ED25519

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """The key of a line `ed25519:BASE64`, or `ecdsa:BASE64`.

        Raises:
            SigningError: it is none.
        """
        kind, _, encoded = text.partition(":")
        try:
            return cls(_RAW[kind](base64.b64decode(encoded, validate=True)), kind)
        except (KeyError, ValueError, UnsupportedAlgorithm) as error:
            shown = text if len(text) <= 80 else f"{text[:80]}..."
            helps = f'`rt-engine keygen` prints one, "{ED25519}:..." or "{ECDSA}:..."'
            raise SigningError(f'"{shown}" is no public key; {helps}') from error

    @classmethod
    def of(cls, private: PrivateKey) -> PublicKey:
        """The public part of a private key."""
        if isinstance(private, Ed25519PrivateKey):
            return cls(private.public_key().public_bytes_raw())
        return cls(_der(private.public_key()), ECDSA)

    @property
    def text(self) -> str:
        """As it stands in the station file."""
        return f"{self.kind}:{base64.b64encode(self.raw).decode()}"


def _raw_ed25519(raw: bytes) -> bytes:
    if len(raw) != _KEY_BYTES:
        raise ValueError(f"{len(raw)} bytes")
    return raw


def _raw_ecdsa(der: bytes) -> bytes:
    key = load_der_public_key(der)
    if not isinstance(key, EllipticCurvePublicKey) or key.curve.name not in bundles.CURVES:
        raise ValueError(f"expected a key on one of {', '.join(bundles.CURVES)}")
    return _der(key)


def _der(key: EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


_RAW: Final = {ED25519: _raw_ed25519, ECDSA: _raw_ecdsa}
"""Kind of key -> checks its bytes, and gives them as `PublicKey` keeps them."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What a good signature says."""

    key: PublicKey
    serial: int
    """-1: a bundle without one, where that may be."""


def generate(private: Path, kind: str = ED25519) -> PublicKey:
    """Write a new private key (PEM, for its owner alone) to a file that is not there yet. ECDSA: on the curve P-256.

    Raises:
        SigningError: the file is there, or cannot be written.
    """
    key = generate_private_key(SECP256R1()) if kind == ECDSA else Ed25519PrivateKey.generate()
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
    return PublicKey.of(key)


def load_private(path: Path) -> PrivateKey:
    """The private key in a file: Ed25519, or ECDSA on a curve that bundles know.

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
    is_known = isinstance(key, Ed25519PrivateKey) or (
        isinstance(key, EllipticCurvePrivateKey) and key.curve.name in bundles.CURVES
    )
    if not is_known:
        raise SigningError(
            f"{path} holds a key that is neither Ed25519 nor ECDSA on P-256, P-384 or P-521; `rt-engine keygen` makes one"
        )
    if shared:
        raise SigningError(f"{path} can be read by others than its owner: chmod 600 {path}, or a new key if in doubt")
    assert isinstance(key, PrivateKey)
    return key


def sign(key: PrivateKey, slot: str, model: bytes, serial: int | None = None, name: str = "model") -> bytes:
    """The signature of a model file's bytes for a slot: 72 bytes by an Ed25519 key, a bundle by an ECDSA key.

    Args:
        serial: by default milliseconds since 1970.
        name: of the file; it stands in a bundle, for people.
    """
    number = time.time_ns() // 1_000_000 if serial is None else serial
    if isinstance(key, EllipticCurvePrivateKey):
        return bundles.write(key, name, model, slot, number)
    return _SERIAL.pack(number) + key.sign(_message(slot, number, hashlib.sha256(model).digest()))


def suffix_of(key: PrivateKey) -> str:
    """What the name of a signature by this key adds to that of the model."""
    return bundles.SUFFIX if isinstance(key, EllipticCurvePrivateKey) else SUFFIX


def malformed(signature: bytes) -> str:
    """Why this can be no signature of either kind; "": it may be one."""
    if len(signature) == SIGNATURE_BYTES or (bundles.is_bundle(signature) and len(signature) <= bundles.MOST_BYTES):
        return ""
    return f"a signature has {SIGNATURE_BYTES} bytes (.sig), or is a bundle of at most {bundles.MOST_BYTES}"


def serial_of(signature: bytes) -> int:
    """The serial number in a signature. Not to be trusted before `verify`.

    Raises:
        SigningError: a bundle without one.
    """
    if len(signature) == SIGNATURE_BYTES:
        return int(_SERIAL.unpack_from(signature)[0])
    return bundles.bound(bundles.read(signature).claim())[1]


def proven(keys: Sequence[PublicKey], slot: str, digest: bytes, signature: bytes, must_bind: bool = True) -> Proof:
    """Which of the keys signed the file with this SHA-256 for this slot.

    `must_bind`: a bundle names slot and serial number; else it may leave out both.

    Raises:
        SigningError: none did; in words, without a file or slot at the beginning.
    """
    if why := malformed(signature):
        raise SigningError(why)
    if len(signature) != SIGNATURE_BYTES:
        return _signed_bundle(keys, slot, digest, bundles.read(signature), must_bind)
    message = _message(slot, serial_of(signature), digest)
    for key in keys:
        if key.kind == ED25519 and _made(key, message, signature[_SERIAL.size :]):
            return Proof(key, serial_of(signature))
    raise SigningError(
        "its signature matches no key of the station, or was made for another file or slot: "
        "`rt-engine sign` makes one of this file for this slot"
    )


def verify(keys: Sequence[PublicKey], slot: str, digest: bytes, signature: bytes) -> PublicKey | None:
    """The same without words: the key, or None."""
    try:
        return proven(keys, slot, digest, signature).key
    except SigningError:
        return None


def _signed_bundle(
    keys: Sequence[PublicKey], slot: str, digest: bytes, bundle: bundles.Bundle, must_bind: bool
) -> Proof:
    key = next((key for key in keys if key.kind == ECDSA and bundle.is_signed_by(_loaded(key))), None)
    if key is None:
        raise SigningError(bundles.objection(bundle))
    claim = bundle.claim()
    is_bound = must_bind or claim.slot is not None
    named, serial = bundles.bound(claim) if is_bound else (slot, -1)
    if claim.digest != digest:
        raise SigningError("it is not the file that the bundle signs")
    if named != slot:
        raise SigningError(f"the bundle was made for slot {named[:80]}, not {slot}")
    return Proof(key, serial)


def _loaded(key: PublicKey) -> EllipticCurvePublicKey:
    loaded = load_der_public_key(key.raw)
    assert isinstance(loaded, EllipticCurvePublicKey)
    return loaded


def _made(key: PublicKey, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key.raw).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _message(slot: str, serial: int, digest: bytes) -> bytes:
    return _CONTEXT + slot.encode() + b"\0" + _SERIAL.pack(serial) + digest
