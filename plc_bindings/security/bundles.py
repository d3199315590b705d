"""OpenSSF model-signing bundles: signatures that others' tools make and check (`pip install model-signing`).

    bundle       {"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
                  "verificationMaterial": {"publicKey": {"hint": SHA-256 of the key as PEM}, "tlogEntries": []},
                  "dsseEnvelope": {"payloadType": "application/vnd.in-toto+json", "payload": BASE64 of the statement,
                                   "signatures": [{"sig": BASE64 of the ECDSA signature, "keyid": ""}]}}
    what is signed     "DSSEv1 28 application/vnd.in-toto+json LENGTH STATEMENT"
    statement    {"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://model_signing/signature/v1.0",
                  "subject": [{"name": NAME, "digest": {"sha256": SHA-256 of all digests below, in their order}}],
                  "predicate": {"serialization": {"method": "files", "hash_type": "sha256", ...},
                                "resources": [{"name": ".", "algorithm": "sha256", "digest": HEX}, ...],
                                "rt-engine": {"slot": SLOT, "serial": SERIAL}}}

A bundle binds files, and neither a slot nor an order. `rt-engine` in the predicate does, which other verifiers pass over, as
their specification says; who signs with a tool that cannot write it signs a folder that has an empty file
`rt-engine/SLOT/SERIAL` beside the model: its name is signed too. What vouches for a bundle is a key that is known, never the
certificates or entries of a log that it brings along.

Specifications: https://github.com/ossf/model-signing-spec, https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md,
https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from plc_bindings.errors import SigningError

SUFFIX: Final = ".sigstore.json"
MOST_BYTES: Final = 64 << 10
MEDIA_TYPE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "https://model_signing/signature/v1.0"
OURS: Final = "rt-engine"
"""In the predicate, and the folder of the empty file."""
CURVES: Final[dict[str, hashes.HashAlgorithm]] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}
"""Curve -> hash that goes with it, as model-signing and sigstore have it."""
MOST_SERIAL: Final = 2**64 - 1
_MODELS: Final = (".onnx", ".rtp")
_HELP: Final = (
    f"`rt-engine sign` writes them; with model_signing, sign a folder with an empty file {OURS}/SLOT/SERIAL in it"
)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a statement says. Not to be trusted before its signature is found good."""

    digest: bytes
    """SHA-256 of the model's file."""
    slot: str | None
    serial: int | None


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle, taken apart; nothing in it is checked yet but its form."""

    payload: bytes
    signature: bytes
    material: str
    """What it brings along to be checked with: "publicKey", "x509CertificateChain", "certificate"; empty: nothing known."""

    def is_signed_by(self, key: EllipticCurvePublicKey) -> bool:
        """Did this key make it?"""
        try:
            key.verify(self.signature, _pae(self.payload), ECDSA(CURVES[key.curve.name]))
        except InvalidSignature:
            return False
        return True

    def claim(self) -> Claim:
        """What its statement says.

        Raises:
            SigningError: it is of another kind, or contradicts itself.
        """
        return _claim(self.payload)


def is_bundle(signature: bytes) -> bool:
    """Is it meant to be one? A `.sig` file may begin so too, but has its own length."""
    return signature[:1] == b"{"


def write(key: EllipticCurvePrivateKey, name: str, model: bytes, slot: str, serial: int) -> bytes:
    """The bundle of a model's bytes for a slot; `name` of its file is for people."""
    digest = hashlib.sha256(model).digest()
    statement = {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": hashlib.sha256(digest).hexdigest()}}],
        "predicateType": PREDICATE,
        "predicate": {
            "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False},
            "resources": [{"name": ".", "algorithm": "sha256", "digest": digest.hex()}],
            OURS: {"slot": slot, "serial": serial},
        },
    }
    payload = json.dumps(statement).encode()
    signature = key.sign(_pae(payload), ECDSA(CURVES[key.curve.name]))
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    bundle = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": hashlib.sha256(pem).hexdigest()}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
        },
    }
    return json.dumps(bundle).encode() + b"\n"


def read(data: bytes) -> Bundle:
    """Take a bundle apart.

    Raises:
        SigningError: it is none, or of a kind that is not understood; the message says which.
    """
    if len(data) > MOST_BYTES:
        raise SigningError(f"the bundle has {len(data)} bytes; at most {MOST_BYTES}")
    bundle = _json(data, "the bundle")
    try:
        if bundle["mediaType"] != MEDIA_TYPE:
            raise SigningError(f"the bundle's media type is {_shown(bundle['mediaType'])}; expected {MEDIA_TYPE}")
        envelope = bundle["dsseEnvelope"]
        if envelope["payloadType"] != PAYLOAD_TYPE:
            raise SigningError(f"the bundle holds {_shown(envelope['payloadType'])}; expected {PAYLOAD_TYPE}")
        (signature,) = envelope["signatures"]
        payload = base64.b64decode(envelope["payload"], validate=True)
        made = base64.b64decode(signature["sig"], validate=True)
        material = bundle.get("verificationMaterial") or {}
        known = ("certificate", "x509CertificateChain", "publicKey")
        return Bundle(payload, made, next((name for name in known if name in material), ""))
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise SigningError(
            "the bundle is damaged, or no sigstore bundle: a DSSE envelope with one signature is expected"
        ) from error


def objection(bundle: Bundle) -> str:
    """Why no known key made a bundle, in words."""
    if bundle.material == "certificate":
        return (
            "the bundle is signed with a sigstore identity (keyless), which only sigstore's services can vouch for, and a "
            "station asks nobody: sign it with a key"
        )
    return "the bundle is signed by no key of the station, or was changed"


def bound(claim: Claim) -> tuple[str, int]:
    """Slot and serial number of a claim.

    Raises:
        SigningError: it has none: whoever keeps such a bundle could put an old model back, or into another slot.
    """
    if claim.slot is None or claim.serial is None:
        raise SigningError(f"the bundle names no slot and serial number: {_HELP}")
    return claim.slot, claim.serial


def _claim(payload: bytes) -> Claim:
    statement = _json(payload, "the bundle's statement")
    try:
        kind = (statement["_type"], statement["predicateType"])
        if kind != (STATEMENT, PREDICATE):
            raise SigningError(f"the bundle states {_shown(kind[1])}; expected {PREDICATE}")
        predicate = statement["predicate"]
        how = (predicate["serialization"]["method"], predicate["serialization"]["hash_type"])
        if how != ("files", "sha256"):
            raise SigningError(f"the bundle hashes {_shown(how[0])} by {_shown(how[1])}; expected files by sha256")
        files = {str(one["name"]): bytes.fromhex(one["digest"]) for one in predicate["resources"]}
        (subject,) = statement["subject"]
        whole = hashlib.sha256(b"".join(bytes.fromhex(one["digest"]) for one in predicate["resources"])).hexdigest()
        if subject["digest"]["sha256"] != whole or len(files) != len(predicate["resources"]):
            raise SigningError("the bundle contradicts itself: its subject is not the hash of its resources")
        marks = [PurePosixPath(name).parts for name in files if PurePosixPath(name).parts[:1] == (OURS,)]
        models = [digest for name, digest in files.items() if name == "." or name.endswith(_MODELS)]
        if len(models) != 1:
            raise SigningError(f"the bundle signs {len(models)} models (.onnx, .rtp); a slot takes one")
        return Claim(models[0], *_bound(predicate.get(OURS), marks))
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise SigningError("the bundle's statement is no list of files with their hashes") from error


def _bound(ours: Any, marks: list[tuple[str, ...]]) -> tuple[str | None, int | None]:
    """Slot and serial number, wherever they stand, once."""
    if ours is None and not marks:
        return None, None
    slot, serial = (ours["slot"], ours["serial"]) if ours is not None else (marks[0][1], int(marks[0][2]))
    is_once = len(marks) == (0 if ours is not None else 1) and all(len(mark) == 3 for mark in marks)
    if not is_once or type(slot) is not str or type(serial) is not int or not 0 <= serial <= MOST_SERIAL:
        raise SigningError(f"the bundle must name one slot and one serial number from 0 to {MOST_SERIAL}: {_HELP}")
    return slot, serial


def _json(data: bytes, what: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SigningError(f"{what} is no JSON") from error


def _shown(value: object) -> str:
    text = str(value)
    return f'"{text}"' if len(text) <= 60 else f'"{text[:60]}..."'


def _pae(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)
