"""Keys, signatures, and what each part of a signature protects."""

import hashlib
import os
import stat

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256K1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from plc_bindings.errors import SigningError
from plc_bindings.security import signing
from plc_bindings.security.signing import PublicKey

MODEL = b"a model's bytes"
DIGEST = hashlib.sha256(MODEL).digest()


@pytest.fixture
def public(tmp_path):
    return signing.generate(tmp_path / "key.pem")


@pytest.fixture
def private(tmp_path, public):
    return signing.load_private(tmp_path / "key.pem")


def test_a_signature_is_good_for_its_file_and_slot(public, private):
    signature = signing.sign(private, "policy", MODEL, 7)
    assert len(signature) == signing.SIGNATURE_BYTES
    assert signing.serial_of(signature) == 7
    assert signing.verify((public,), "policy", DIGEST, signature) == public


def test_the_layout_is_the_documented_one(public, private):
    """Any Ed25519 library can make and check it."""
    signature = signing.sign(private, "policy", MODEL, 0x0102)
    assert signature[:8] == bytes([2, 1, 0, 0, 0, 0, 0, 0])
    message = b"rt-engine model\0" + b"policy\0" + signature[:8] + DIGEST
    Ed25519PublicKey.from_public_bytes(public.raw).verify(signature[8:], message)


@pytest.mark.parametrize("bit", [0, 63, 64, 300, 72 * 8 - 1])
def test_no_bit_of_it_can_be_changed(public, private, bit):
    """The serial number is signed too."""
    signature = bytearray(signing.sign(private, "policy", MODEL, 7))
    signature[bit // 8] ^= 1 << bit % 8
    assert signing.verify((public,), "policy", DIGEST, bytes(signature)) is None


def test_another_slot_file_key_or_length_is_not_good(public, private, tmp_path):
    signature = signing.sign(private, "policy", MODEL)
    other = signing.generate(tmp_path / "other.pem")
    assert signing.verify((public,), "policy2", DIGEST, signature) is None
    assert signing.verify((public,), "policy", hashlib.sha256(b"other").digest(), signature) is None
    assert signing.verify((other,), "policy", DIGEST, signature) is None
    assert signing.verify((), "policy", DIGEST, signature) is None
    assert signing.verify((public,), "policy", DIGEST, signature[:-1]) is None
    assert signing.verify((public,), "policy", DIGEST, b"") is None
    assert signing.verify((other, public), "policy", DIGEST, signature) == public


def test_serial_numbers_grow_by_themselves(private):
    first, second = (signing.serial_of(signing.sign(private, "policy", MODEL)) for _ in range(2))
    assert second >= first > 1_700_000_000_000


def test_a_key_is_its_owners_alone_and_never_overwritten(tmp_path, public):
    file = tmp_path / "key.pem"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_bytes()
    with pytest.raises(SigningError, match="never overwritten"):
        signing.generate(file)
    assert file.read_bytes() == before
    with pytest.raises(SigningError, match="cannot be written"):
        signing.generate(tmp_path / "no" / "key.pem")


def test_a_key_that_others_can_read_is_refused(tmp_path, public):
    (tmp_path / "key.pem").chmod(0o640)
    with pytest.raises(SigningError, match="chmod 600"):
        signing.load_private(tmp_path / "key.pem")


@pytest.mark.parametrize("what", ["nothing", "garbage", "locked", "other kind", "public"])
def test_what_is_no_key_is_named(tmp_path, public, what):
    file, pkcs8 = tmp_path / "bad.pem", PrivateFormat.PKCS8
    locked = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, pkcs8, BestAvailableEncryption(b"x"))
    contents = {
        "garbage": b"\xff\x00 no key",
        "locked": locked,
        "other kind": generate_private_key(SECP256K1()).private_bytes(Encoding.PEM, pkcs8, NoEncryption()),
        "public": public.text.encode(),
    }
    if what in contents:
        file.write_bytes(contents[what])
        file.chmod(0o600)
    words = {"nothing": "cannot be read", "locked": "password", "other kind": "neither Ed25519 nor"}
    with pytest.raises(SigningError, match=words.get(what, "rt-engine keygen")):
        signing.load_private(file)


def test_a_public_key_is_one_line(public):
    assert PublicKey.parse(public.text) == public
    assert public.text.startswith("ed25519:") and len(public.text) == 52


@pytest.mark.parametrize(
    "text", ["", "ed25519:", "ed25519:AAAA", "AAAA" * 11, "ed25519:" + "!" * 44, "ed25519:" + "é" * 44]
)
def test_what_is_no_public_key_is_refused(text):
    with pytest.raises(SigningError, match="no public key"):
        PublicKey.parse(text)


def test_a_full_disk_leaves_no_half_key(tmp_path, monkeypatch):
    """The message says why, and the name is free again."""
    opened = os.open

    def full(path, flags, mode=0o777):
        os.close(opened(path, flags, mode))
        return opened("/dev/full", os.O_WRONLY)

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(SigningError, match=r"plant\.pem cannot be written: No space"):
        signing.generate(tmp_path / "plant.pem")
    assert list(tmp_path.iterdir()) == []
