"""Who is trusted is what lies in a folder; who is not leaves a certificate there, and no more than a bounded number."""

import os
import stat
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from fieldbus.errors import ConfigurationError, UntrustedError
from fieldbus.opcua import certificates as module
from fieldbus.opcua.certificates import Certificates, der_of, leaf, thumbprint
from fieldbus.opcua.own import make

URI = "urn:peer:test"
NOW = datetime.now(UTC)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def other_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def signed(key, name="peer", by=None, issuer=None, until=DAY, is_ca=False, uri=URI, host="plc"):
    """A certificate of `key`, signed by `by` (else itself)."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri), x509.DNSName(host)])
    return (
        x509.CertificateBuilder(
            issuer.subject if issuer else subject, subject, key.public_key(), x509.random_serial_number()
        )
        .not_valid_before(NOW - 3 * DAY)
        .not_valid_after(NOW + until)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(names, critical=False)
        .sign(by or key, hashes.SHA256())
    )


@pytest.fixture
def store(tmp_path):
    return Certificates(tmp_path / "opcua")


def put(store, certificate, name="peer.pem"):
    room = store.folder / "trusted"
    room.mkdir(parents=True, exist_ok=True)
    (room / name).write_bytes(certificate.public_bytes(Encoding.PEM))


def status_of(store, certificate, **options):
    with pytest.raises(UntrustedError) as caught:
        store.check(der_of(certificate), **options)
    return caught.value.status


def test_an_unknown_one_is_refused_kept_and_trusted_by_its_thumbprint(store, key):
    certificate = signed(key)
    assert status_of(store, certificate, uri=URI) == "BadCertificateUntrusted"
    (rejected,) = store.listed()[1]
    assert rejected.certificate == certificate
    known = store.trust(rejected.thumbprint[:8].lower())
    assert store.check(der_of(certificate), uri=URI).path == known.path
    assert store.listed() == ((known,), ())


def test_the_message_says_the_command_that_trusts(store, key):
    certificate = signed(key)
    with pytest.raises(UntrustedError, match=f"rt-engine opcua trust -f {store.folder} {thumbprint(certificate)}"):
        store.check(der_of(certificate))


def test_a_name_is_one_line_and_steers_nothing(store, key):
    """It stands in the list of those who are trusted, and a stranger wrote it."""
    name = "pump\n  0123 until 2099 the line's controller\x1b[2J"
    assert status_of(store, signed(key, name=name)) == "BadCertificateUntrusted"
    (rejected,) = store.listed()[1]
    assert rejected.name == "pump?  0123 until 2099 the line's controller?[2J"


def test_a_file_is_trusted_in_pem_and_in_der(store, key, tmp_path):
    certificate = signed(key)
    for encoding in (Encoding.PEM, Encoding.DER):
        (tmp_path / "file").write_bytes(certificate.public_bytes(encoding))
        assert store.trust(str(tmp_path / "file")).certificate == certificate


@pytest.mark.parametrize("what", ["", "0" * 40, "nothing.der"])
def test_what_is_not_there_is_not_trusted(store, what):
    with pytest.raises(ConfigurationError, match="no thumbprint of a rejected certificate"):
        store.trust(what)


def test_a_trusted_one_must_be_of_today_and_of_its_application(store, key):
    put(store, signed(key, until=-DAY), "old.pem")
    put(store, signed(key, "good"), "good.pem")
    old, good = (known.certificate for known in sorted(store.listed()[0], key=lambda known: known.until))
    assert status_of(store, old, uri=URI) == "BadCertificateTimeInvalid"
    assert status_of(store, good, uri="urn:somebody:else") == "BadCertificateUriInvalid"
    assert status_of(store, good, uri=URI, now=NOW - 9 * DAY) == "BadCertificateTimeInvalid"
    assert store.check(der_of(good), uri=URI, host="another name").certificate == good
    assert store.listed()[1] == ()


def test_an_authority_vouches_for_what_it_signed_and_did_not_revoke(store, key, other_key):
    authority = signed(key, "authority", is_ca=True)
    peer = signed(other_key, by=key, issuer=authority)
    forged = signed(other_key, by=other_key, issuer=authority)
    put(store, authority)
    assert store.check(der_of(peer) + der_of(authority), uri=URI, host="PLC").certificate == peer
    assert status_of(store, peer, uri=URI, host="elsewhere") == "BadCertificateHostNameInvalid"
    assert status_of(store, forged, uri=URI) == "BadCertificateUntrusted"
    entry = x509.RevokedCertificateBuilder().serial_number(peer.serial_number).revocation_date(NOW)
    revoked = x509.CertificateRevocationListBuilder(authority.subject, NOW, NOW + DAY).add_revoked_certificate(
        entry.build()
    )
    path = store.folder / "trusted" / "list.crl"
    path.write_bytes(revoked.sign(other_key, hashes.SHA256()).public_bytes(Encoding.DER))
    assert store.check(der_of(peer), uri=URI).certificate == peer, "somebody else signed that list"
    path.write_bytes(revoked.sign(key, hashes.SHA256()).public_bytes(Encoding.DER))
    assert status_of(store, peer, uri=URI) == "BadCertificateRevoked"
    path.write_bytes(b"torn")
    assert status_of(store, peer, uri=URI) == "BadCertificateRevocationUnknown"


def test_a_list_that_was_not_renewed_goes_on_to_count_and_is_told(store, key, other_key):
    """Whom it names stays revoked; whom it does not name is let in, and somebody hears of it."""
    authority = signed(key, "authority", is_ca=True)
    good, bad = (signed(other_key, name, by=key, issuer=authority) for name in ("good", "bad"))
    put(store, authority)
    entry = x509.RevokedCertificateBuilder().serial_number(bad.serial_number).revocation_date(NOW - 9 * DAY)
    builder = x509.CertificateRevocationListBuilder(authority.subject, NOW - 9 * DAY, NOW - DAY)
    path = store.folder / "trusted" / "list.crl"
    signed_list = builder.add_revoked_certificate(entry.build()).sign(key, hashes.SHA256())
    path.write_bytes(signed_list.public_bytes(Encoding.DER))
    assert status_of(store, bad, uri=URI) == "BadCertificateRevoked"
    assert store.check(der_of(good), uri=URI).certificate == good
    assert [one for one, _ in store.overdue()] == [path]
    assert store.overdue(NOW - 2 * DAY) == ()


def test_who_is_no_authority_vouches_for_nobody(store, key, other_key):
    put(store, signed(key, "peer that is trusted"))
    assert status_of(store, signed(other_key, by=key, issuer=signed(key))) == "BadCertificateUntrusted"


def test_rejected_ones_are_bounded_and_the_oldest_goes(store, key, monkeypatch):
    monkeypatch.setattr(module, "MOST_REJECTED", 3)
    for number in range(5):
        status_of(store, signed(key, f"peer {number}"))
        (newest,) = (known.path for known in store.listed()[1] if known.name == f"peer {number}")
        os.utime(newest, (number, number))  # a file system may give two of them one time
    assert {known.name for known in store.listed()[1]} == {"peer 2", "peer 3", "peer 4"}


@pytest.mark.parametrize("der", [b"", b"\x30", b"\x30\x82\xff\xff", b"x" * 5000, b"\x30\x82\x00\x04\x00\x00\x00\x00"])
def test_what_is_no_certificate_is_refused_and_not_kept(store, der):
    with pytest.raises(UntrustedError) as caught:
        store.check(der)
    assert caught.value.status == "BadCertificateInvalid"
    assert store.listed() == ((), ())


def test_a_chain_begins_with_the_peers(key, other_key):
    first, second = der_of(signed(key)), der_of(signed(other_key))
    assert leaf(first + second) == first == leaf(first)


def test_our_own_has_the_uri_the_uses_and_a_private_key_for_its_owner_alone(tmp_path):
    own = make(tmp_path / "pki", hosts=["plc.example", "192.168.10.5"])
    assert own.uri == "urn:plc.example:rt-engine"
    assert stat.S_IMODE(own.key_path.stat().st_mode) == 0o600
    usage = own.certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature and usage.content_commitment and usage.key_encipherment and usage.data_encipherment
    with pytest.raises(ConfigurationError, match="--renew"):
        make(tmp_path / "pki")
    again = make(tmp_path / "pki", uri="urn:another", renew=True)
    assert again.certificate.public_key() == own.certificate.public_key()
    assert (again.uri, again.thumbprint == own.thumbprint) == ("urn:another", False)


def test_our_own_is_refused_when_others_can_read_its_key_or_it_is_not_there(tmp_path):
    store = Certificates(tmp_path)
    with pytest.raises(ConfigurationError, match=f"rt-engine opcua certificate -f {tmp_path}"):
        store.own()
    make(tmp_path).key_path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        store.own()
