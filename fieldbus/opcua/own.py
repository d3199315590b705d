"""Making our own certificate: self-signed, for an application URI, as OPC 10000-6, 6.2.2, wants it."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from fieldbus.errors import ConfigurationError
from fieldbus.opcua.certificates import OWN_CERTIFICATE, OWN_KEY, Certificates, Own, der_of
from rt_native.files import write_whole

BITS: Final = 3072
"""Of the RSA key: every policy from Basic256Sha256 on takes 2048 to 4096."""
DAYS: Final = 1825
CLOCKS_APART: Final = timedelta(days=1)
"""By how much a peer's clock may be behind ours on the first day."""
MODE: Final = 0o600


def default_uri(host: str) -> str:
    """An application URI for a station on this computer."""
    return f"urn:{host}:rt-engine"


def make(
    folder: Path,
    uri: str = "",
    name: str = "rt-engine",
    hosts: Sequence[str] = (),
    days: int = DAYS,
    renew: bool = False,
) -> Own:
    """Write a key and a certificate into a folder, which is made.

    Args:
        folder: where.
        uri: the application URI; by default `urn:HOST:rt-engine`.
        name: the common name.
        hosts: names and addresses by which a server of ours is called; by default this computer's name.
        days: how long it is valid.
        renew: a certificate is there: make another one for its key. Without, that is an error.

    Raises:
        ConfigurationError: there is one, the URI is none, or the folder cannot be written.
    """
    hosts = tuple(hosts) or (socket.gethostname(),)
    uri = uri or default_uri(hosts[0])
    if ":" not in uri or not uri.isascii():
        raise ConfigurationError(f'"{uri}" is no application URI; for example {default_uri(hosts[0])}')
    certificate, key = folder / OWN_CERTIFICATE, folder / OWN_KEY
    if (certificate.exists() or key.exists()) and not renew:
        raise ConfigurationError(
            f"{folder} holds a certificate of our own, which peers may trust; --renew makes another one for the same key"
        )
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        private = _kept_key(key) if key.exists() else _new_key(key)
        write_whole(certificate, der_of(_signed(private, uri, name, hosts, days)))
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written: {error.strerror or error}") from error
    return Certificates(folder).own()


def _new_key(path: Path) -> rsa.RSAPrivateKey:
    key = rsa.generate_private_key(public_exponent=65537, key_size=BITS)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE), "wb") as file:
        file.write(pem)
    return key


def _kept_key(path: Path) -> rsa.RSAPrivateKey:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"{path} holds no private key without a password: {error}") from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ConfigurationError(f"{path} holds a key that is not RSA, and OPC UA's policies want RSA")
    return key


def _signed(key: rsa.RSAPrivateKey, uri: str, name: str, hosts: Sequence[str], days: int) -> x509.Certificate:
    now = datetime.now(UTC)
    subject = x509.Name(
        [x509.NameAttribute(x509.NameOID.COMMON_NAME, name), x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, name)]
    )
    extended = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=True,
        data_encipherment=True,
        key_agreement=False,
        key_cert_sign=True,  # of itself: node-opcua and OpenSSL want it of a self-signed one
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - CLOCKS_APART)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri), *map(_host, hosts)]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage(extended), critical=False)
        .add_extension(own, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own), critical=False)
    )
    return builder.sign(key, hashes.SHA256())


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return x509.DNSName(host)
    except ValueError as error:
        raise ConfigurationError(f'"{host}" is no name of a host: {error}') from error
