"""OpenSSF model-signing bundles: those that model-signing made, ours, and what each part of one protects."""

import base64
import hashlib
import json
import random
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, generate_private_key

from plc_bindings.errors import SigningError
from plc_bindings.security import bundles, signing
from plc_bindings.security.signing import PublicKey

THEIRS = Path(__file__).parent / "model_signing"
MODEL = b"a model's bytes"
DIGEST = hashlib.sha256(MODEL).digest()
SERIAL = 1764424000000


@pytest.fixture
def public(tmp_path):
    return signing.generate(tmp_path / "key.pem", signing.ECDSA)


@pytest.fixture
def private(tmp_path, public):
    return signing.load_private(tmp_path / "key.pem")


def theirs(name, signer=None):
    """A key, and a bundle that model-signing made with it (see `make.sh` beside them)."""
    key = PublicKey.parse((THEIRS / f"{signer or name}.pub").read_text(encoding="utf-8").strip())
    return key, (THEIRS / f"{name}.folder.json").read_bytes()


def statement_of(bundle):
    return json.loads(base64.b64decode(json.loads(bundle)["dsseEnvelope"]["payload"]))


def signed_anew(private, change, slot="policy"):
    """A bundle of ours whose statement was changed before it was signed."""
    made = bundles.write(private, "m.onnx", MODEL, slot, 7)
    statement = statement_of(made)
    statement = change(statement) or statement
    payload = json.dumps(statement).encode()
    whole = json.loads(made)
    signature = private.sign(bundles._pae(payload), bundles.ECDSA(bundles.CURVES[private.curve.name]))
    whole["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    whole["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(signature).decode()
    return json.dumps(whole).encode()


def refusal(keys, bundle, slot="policy", digest=DIGEST):
    with pytest.raises(SigningError) as caught:
        signing.proven(keys, slot, digest, bundle)
    assert signing.verify(keys, slot, digest, bundle) is None
    return str(caught.value)


@pytest.mark.parametrize("name", ["prime256v1", "secp384r1", "secp521r1", "certificate"])
def test_bundles_of_model_signing_are_good_for_their_file_and_slot(name):
    """Of a certificate, its key has to be known: what else the bundle brings along vouches for nothing."""
    key, bundle = theirs(name)
    assert signing.proven((key,), "policy", DIGEST, bundle) == signing.Proof(key, SERIAL)
    assert signing.serial_of(bundle) == SERIAL
    assert "slot policy, not spare" in refusal((key,), bundle, slot="spare")
    assert "not the file" in refusal((key,), bundle, digest=bytes(32))


def test_a_bundle_that_binds_no_slot_and_serial_number_is_refused():
    """Whoever kept it could put an old model back."""
    key, _ = theirs("prime256v1")
    bundle = (THEIRS / "prime256v1.file.json").read_bytes()
    assert "rt-engine/SLOT/SERIAL" in refusal((key,), bundle)
    with pytest.raises(SigningError, match="no slot and serial"):
        signing.serial_of(bundle)


def test_no_other_key_is_good_for_it(public):
    key, bundle = theirs("prime256v1")
    other, _ = theirs("secp384r1")
    ed25519 = PublicKey(bytes(32))
    assert "no key of the station" in refusal((other, public, ed25519), bundle)
    assert "no key of the station" in refusal((), bundle)
    assert signing.proven((ed25519, other, key), "policy", DIGEST, bundle).key == key


def test_keys_of_both_kinds_stand_beside_each_other(public, tmp_path):
    """Each is asked about signatures of its own kind alone."""
    plant = signing.generate(tmp_path / "plant.pem")
    signature = signing.sign(signing.load_private(tmp_path / "plant.pem"), "policy", MODEL, 7)
    assert signing.proven((public, plant), "policy", DIGEST, signature) == signing.Proof(plant, 7)
    assert "no key of the station" in refusal((public,), signature)


@pytest.mark.parametrize("curve", ["P-256", "P-384"])
def test_ours_is_made_by_an_ecdsa_key(private, curve):
    key = private if curve == "P-256" else generate_private_key(SECP384R1())
    bundle = signing.sign(key, "policy", MODEL, 7, "m.onnx")
    assert signing.proven((PublicKey.of(key),), "policy", DIGEST, bundle) == signing.Proof(PublicKey.of(key), 7)
    assert signing.suffix_of(key) == ".sigstore.json"
    assert statement_of(bundle)["subject"][0]["name"] == "m.onnx"


def test_no_byte_of_statement_or_signature_can_be_changed(public, private):
    bundle = json.loads(signing.sign(private, "policy", MODEL, 7))
    envelope = bundle["dsseEnvelope"]
    for place, key in ((envelope, "payload"), (envelope["signatures"][0], "sig")):
        good = base64.b64decode(place[key])
        for at in range(0, len(good), 7):
            changed = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
            place[key] = base64.b64encode(changed).decode()
            assert signing.verify((public,), "policy", DIGEST, json.dumps(bundle).encode()) is None, (key, at)
        place[key] = base64.b64encode(good).decode()
    assert signing.verify((public,), "policy", DIGEST, json.dumps(bundle).encode()) == public


def test_a_sigstore_identity_is_refused_in_words(public, private):
    bundle = json.loads(signing.sign(generate_private_key(SECP384R1()), "policy", MODEL))
    bundle["verificationMaterial"] = {"certificate": {"rawBytes": ""}, "tlogEntries": [{}]}
    assert "keyless" in refusal((public,), json.dumps(bundle).encode())


def put(statement, path, value):
    *way, last = path
    for step in way:
        statement = statement[step]
    statement[last] = value


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("_type",), "https://in-toto.io/Statement/v0.1", "expected https://model_signing"),
        (("predicateType",), "https://slsa.dev/provenance/v1", "slsa.dev"),
        (("predicateType",), ["x" * 1000], "states"),
        (("predicate", "serialization", "method"), "shards", "files by sha256"),
        (("predicate", "serialization", "hash_type"), "blake2b", "files by sha256"),
        (("subject", 0, "digest", "sha256"), "00" * 32, "contradicts itself"),
        (("subject",), [], "no list of files"),
        (("predicate", "resources"), [], "contradicts itself"),
        (("predicate", "resources"), None, "no list of files"),
        (("predicate", "resources", 0, "name"), "weights.bin", "signs 0 models"),
        (("predicate", "resources", 0, "digest"), "xx", "no list of files"),
        (("predicate", "rt-engine"), {"slot": "policy"}, "no list of files"),
        (("predicate", "rt-engine"), {"slot": "policy", "serial": -1}, "one serial number"),
        (("predicate", "rt-engine"), {"slot": "policy", "serial": 2**64}, "one serial number"),
        (("predicate", "rt-engine"), {"slot": "policy", "serial": True}, "one serial number"),
        (("predicate", "rt-engine"), {"slot": ["policy"], "serial": 7}, "one serial number"),
        (("predicate", "rt-engine"), "policy", "no list of files"),
        (("predicate", "rt-engine"), None, "no slot and serial"),
        (("predicate",), 3, "no list of files"),
    ],
)
def test_a_statement_of_another_kind_is_refused_though_its_signature_is_good(public, private, path, value, words):
    assert words in refusal((public,), signed_anew(private, lambda statement: put(statement, path, value)))


def with_files(*names):
    def change(statement):
        digests = [DIGEST] * len(names)
        statement["predicate"]["resources"] = [
            {"name": name, "algorithm": "sha256", "digest": DIGEST.hex()} for name in names
        ]
        statement["subject"][0]["digest"]["sha256"] = hashlib.sha256(b"".join(digests)).hexdigest()

    return change


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("a.onnx", "b.onnx"), "signs 2 models"),
        (("a.onnx", "a.onnx"), "contradicts itself"),
        (("a.onnx", "rt-engine/policy/8"), "one slot and one serial"),
        (("a.onnx", "rt-engine/policy"), "one slot and one serial"),
    ],
)
def test_files_that_leave_open_what_is_meant_are_refused(public, private, names, words):
    assert words in refusal((public,), signed_anew(private, with_files(*names)))


@pytest.mark.parametrize(
    ("marks", "words"),
    [
        (["rt-engine/policy/8", "rt-engine/policy/9"], "one slot and one serial"),
        (["rt-engine/policy/8/9"], "one slot and one serial"),
        (["rt-engine/policy/-8"], "one serial number"),
        (["rt-engine/policy/eight"], "no list of files"),
        (["rt-engine/policy"], "no list of files"),
        (["rt-engine.onnx"], "signs 2 models"),
    ],
)
def test_a_mark_that_says_nothing_clear_is_refused(public, private, marks, words):
    def change(statement):
        with_files("a.onnx", *marks)(statement)
        del statement["predicate"]["rt-engine"]

    assert words in refusal((public,), signed_anew(private, change))


@pytest.mark.parametrize(
    ("bundle", "words"),
    [
        (b"", "72 bytes"),
        (b"[]", "72 bytes"),
        (b"{", "no JSON"),
        (b"{}", "damaged"),
        (b'{"mediaType": "application/vnd.dev.sigstore.bundle.v0.1+json"}', "expected application/vnd"),
        (b'{"a": ' * 20_000, "72 bytes"),
        (b'{"a":' * 13_000, "no JSON"),
        (b"{\xff}", "no JSON"),
    ],
)
def test_what_is_no_bundle_is_named(public, bundle, words):
    assert words in refusal((public,), bundle)


@pytest.mark.parametrize("change", ["two signatures", "no signature", "payload type", "no base64", "null material"])
def test_envelopes_that_are_not_ours_to_judge(public, private, change):
    bundle = json.loads(signing.sign(private, "policy", MODEL))
    envelope = bundle["dsseEnvelope"]
    if change == "two signatures":
        envelope["signatures"] *= 2
    elif change == "no signature":
        envelope["signatures"] = []
    elif change == "payload type":
        envelope["payloadType"] = "application/json"
    elif change == "no base64":
        envelope["payload"] = "!" + envelope["payload"]
    else:
        bundle["verificationMaterial"] = None
        assert signing.verify((public,), "policy", DIGEST, json.dumps(bundle).encode()) == public
        return
    assert "bundle" in refusal((public,), json.dumps(bundle).encode())


def test_a_key_for_bundles_is_one_line(public):
    assert PublicKey.parse(public.text) == public
    assert public.text.startswith("ecdsa:")
    rsa = "ecdsa:" + base64.b64encode(b"0\x03\x02\x01\x00").decode()
    for text in (
        rsa,
        "ecdsa:",
        "ecdsa:AAAA",
        public.text.replace("ecdsa", "ed25519"),
        public.text.replace("ecdsa", "p256"),
    ):
        with pytest.raises(SigningError, match="no public key"):
            PublicKey.parse(text)


ODD = (
    None,
    True,
    -1,
    2**70,
    1e400,
    "",
    "x",
    ".",
    "\ud800",
    "a\0b",
    [],
    [[]],
    {},
    {"slot": 1},
    "9" * 5000,
    ["rt-engine/a/b"],
)
"""What stands where something else is expected."""


def spoiled(value, rng):
    """The same JSON with one thing in it replaced, taken out, or there twice."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(sorted(value))
        return (
            {**value, key: spoiled(value[key], rng)}
            if rng.random() < 0.9
            else {k: v for k, v in value.items() if k != key}
        )
    if isinstance(value, list) and value and rng.random() < 0.85:
        at = rng.randrange(len(value))
        more = [value[at]] * (2 if rng.random() < 0.2 else 1)
        return [*value[:at], *(spoiled(one, rng) for one in more), *value[at + 1 :]]
    return rng.choice(ODD)


def fuzz(seed, count):
    """Spoiled statements whose signature is good, and spoiled bundles: how many were taken. All else is a `SigningError`."""
    rng, key = random.Random(seed), generate_private_key(SECP256R1())
    trusted, taken = (PublicKey.of(key),), 0
    theirs = statement_of((THEIRS / "prime256v1.folder.json").read_bytes())
    for number in range(count):
        if number % 3:
            bundle = signed_anew(key, lambda ours, number=number: spoiled(theirs if number % 2 else ours, rng))
        else:
            bundle = json.dumps(spoiled(json.loads(signing.sign(key, "policy", MODEL, 7)), rng)).encode()
        try:
            found = signing.proven(trusted, "policy", DIGEST, bundle)
        except SigningError:
            continue
        taken += 1
        assert 0 <= found.serial < 2**64
        claim = bundles.read(bundle).claim()
        assert (claim.digest, claim.slot, claim.serial) == (DIGEST, "policy", found.serial)
    return taken


def test_whatever_a_bundle_holds_is_taken_or_refused():
    """More of it by hand: `fuzz(seed, 100_000)`."""
    assert 0 < fuzz(1, 600) < 500
