"""Certificates of servers that clients would refuse, or that let nobody in: `check` says so before."""

import ssl

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from station.servers.shared.certificates import certificate_findings
from tests.plc_bindings.modbus.test_tls import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def found(authority, name, days, **other):
    """(key, severity, message) of what is said of a server's certificate that is valid so long, from now."""
    cert, key, _ = authority.issue(name, days)
    files = {"cert": cert, "key": key, "ca": ""} | other
    findings = certificate_findings(("servers", "page"), authority.folder, **files)
    return [(finding.path[-1], finding.severity, finding.message) for finding in findings]


@pytest.mark.parametrize(
    ("days", "words"),
    [
        ((-3, -2), "has expired on "),
        ((2, 300), "is the clock right?"),
        ((-1, 29), "expires on "),
        ((-300, 31), ""),
    ],
)
def test_a_certificate_that_is_out_of_date_or_will_be_soon_is_a_warning(authority, days, words):
    said = found(authority, "dated", days)
    assert [one[:2] for one in said] == ([("cert_file", "warning")] if words else [])
    assert all(words in message for *_, message in said)


def test_an_authority_that_has_expired_lets_nobody_in(authority, tmp_path):
    old, *_ = authority.issue("old-authority", (-3, -2))
    ((key, severity, message),) = found(authority, "s", (-1, 300), ca=old)
    assert (key, severity) == ("ca_file", "warning") and "nobody with its certificates" in message


def test_a_key_of_another_certificate_is_an_error(authority):
    _, other, _ = authority.issue("other")
    ((key, severity, message),) = found(authority, "server", (-1, 300), key=other)
    assert (key, severity) == ("key_file", "error") and "is no key of the certificate" in message


def test_a_key_that_is_locked_is_an_error_and_nobody_is_asked(authority, tmp_path):
    cert, key, _ = authority.issue("locked", (-1, 300))
    with open(key, "rb") as file:
        loaded = load_pem_private_key(file.read(), None)
    locked = tmp_path / "locked.key"
    locked.write_bytes(loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    (finding,) = certificate_findings(("servers", "page"), tmp_path, cert, str(locked), "")
    assert "locked with a password" in finding.message


def test_what_is_no_certificate_is_an_error_and_what_is_not_there_is_said_elsewhere(authority, tmp_path):
    (tmp_path / "text").write_text("no certificate")
    cert, key, _ = authority.issue("good", (-1, 300))
    found = list(certificate_findings(("servers", "page"), tmp_path, cert, key, "text"))
    assert [(one.path[-1], one.severity) for one in found] == [("ca_file", "error")]
    assert list(certificate_findings(("servers", "page"), tmp_path, "none", "none", "")) == []
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
