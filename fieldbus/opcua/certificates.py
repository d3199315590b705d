"""Certificates of OPC UA on disk: our own, those whom we trust, those whom nobody knows. For links and servers alike.

    opcua/                            the folder that a station file names
      own.der  own.pem                our certificate, and its private key, for its owner alone
      trusted/*.der *.pem *.crt       peers, or authorities that sign them;  *.crl  what those have revoked
      rejected/THUMBPRINT.der         peers that nobody knows: `rt-engine opcua trust THUMBPRINT` moves one to the others

A peer is trusted when its certificate is there, or when one that is there signed it (no longer chains: put the issuing authority
itself there). OPC 10000-4, 6.1.3, says the order of the checks. A thumbprint is the SHA-1 of the DER form, as tools show it.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from fieldbus.errors import ConfigurationError, UntrustedError
from rt_native.files import open_file, write_whole

OWN_CERTIFICATE: Final = "own.der"
OWN_KEY: Final = "own.pem"
TRUSTED: Final = "trusted"
REJECTED: Final = "rejected"
MOST_REJECTED: Final = 50
"""Files that unknown peers may leave here; the oldest goes."""
MOST_BYTES: Final = 1 << 16
"""Of one certificate or list; longer ones are not read."""
MOST_LETTERS: Final = 200
"""Of a name that a peer chose, in a message."""
_SUFFIXES: Final = (".der", ".pem", ".crt", ".cer")
_SEQUENCE: Final = 0x30
_LENGTH_BYTES: Final = 0x82
"""The length of a DER sequence follows in two bytes: every certificate of an RSA key has it so."""


@dataclass(frozen=True, slots=True)
class Known:
    """A certificate in the folder."""

    path: Path
    certificate: x509.Certificate

    @property
    def thumbprint(self) -> str:
        """As tools show it."""
        return thumbprint(self.certificate)

    @property
    def name(self) -> str:
        """The common name, else the whole subject; in one line, whatever its owner wrote there."""
        return _in_a_line(common_name(self.certificate))

    @property
    def uri(self) -> str:
        """The application URI; empty: it has none."""
        return _in_a_line(next(iter(application_uris(self.certificate)), ""))

    @property
    def until(self) -> datetime:
        """Valid to then (UTC)."""
        return self.certificate.not_valid_after_utc


@dataclass(frozen=True, slots=True)
class Own(Known):
    """Our certificate, and where its key is."""

    key_path: Path

    @property
    def der(self) -> bytes:
        """As it is sent."""
        return der_of(self.certificate)


class Certificates:
    """The folder. Any thread; its files are looked at when they are asked for, so what is put there counts at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def own(self) -> Own:
        """Ours, expired or not.

        Raises:
            ConfigurationError: it is not there, is none, has no application URI, or others may read its key.
        """
        path, key_path = self.folder / OWN_CERTIFICATE, self.folder / OWN_KEY
        found = [parsed for data in [_read(path)] if (parsed := _parsed(data)) is not None]
        if not found or not key_path.is_file():
            raise ConfigurationError(
                f"{path} and {OWN_KEY} hold no certificate of our own; make one: rt-engine opcua certificate -f {self.folder}"
            )
        if key_path.stat().st_mode & 0o077:
            raise ConfigurationError(f"{key_path} can be read by others than its owner: chmod 600 {key_path}")
        own = Own(path, found[0], key_path)
        if not own.uri:
            raise ConfigurationError(f"{path} has no application URI, which OPC UA wants among its alternative names")
        return own

    def check(self, der: bytes, uri: str | None = None, host: str = "", now: datetime | None = None) -> Known:
        """A peer's certificate (chains: its first), which it has just presented; gives it as it is known here.

        Args:
            der: as it came.
            uri: the application URI that the peer says it has; None: it said none.
            host: what we called it by; asked only of certificates that an authority vouches for.
            now: by default the clock's.

        Raises:
            UntrustedError: it is not to be talked to; `status` is the name of OPC UA's code. An unknown one is kept as rejected.
        """
        certificate = _parsed(leaf(der))
        if certificate is None:
            raise UntrustedError("it sent no certificate that can be read", "BadCertificateInvalid")
        peer = Known(self.folder / TRUSTED / f"{thumbprint(certificate)}.der", certificate)
        issuer = self._vouched(peer, now or datetime.now(UTC))
        if uri is not None and uri not in application_uris(certificate):
            for_, says = peer.uri[:MOST_LETTERS], uri[:MOST_LETTERS]
            message = f'{_said(peer)} is for the application "{for_}", and it says that it is "{says}"'
            raise UntrustedError(message, "BadCertificateUriInvalid")
        if issuer is not None and host and not _is_for(certificate, host):
            raise UntrustedError(f"{_said(peer)} is not for the host {host}", "BadCertificateHostNameInvalid")
        return peer

    def listed(self) -> tuple[tuple[Known, ...], tuple[Known, ...]]:
        """(trusted, rejected), each in the order of its files."""
        return self._certificates(TRUSTED), self._certificates(REJECTED)

    def trust(self, what: str) -> Known:
        """Trust a certificate: a file, or the (begin of the) thumbprint of a rejected one. Gives it at its new place.

        Raises:
            ConfigurationError: there is none, there are several, or the folder cannot be written.
        """
        path = Path(what)
        found = self._rejected_as(what) if not path.is_file() else path
        certificate = _parsed(_read(found))
        if certificate is None:
            raise ConfigurationError(f"{found} is no certificate, in DER or PEM form")
        known = Known(self.folder / TRUSTED / f"{thumbprint(certificate)}.der", certificate)
        try:
            known.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(known.path, der_of(certificate))
            (self.folder / REJECTED / known.path.name).unlink(missing_ok=True)
        except OSError as error:
            raise ConfigurationError(f"{known.path} cannot be written: {error.strerror or error}") from error
        return known

    def _rejected_as(self, begin: str) -> Path:
        wanted = begin.replace(":", "").replace(" ", "").upper()
        found = [known.path for known in self._certificates(REJECTED) if wanted and known.thumbprint.startswith(wanted)]
        if len(found) != 1:
            count = "several certificates begin so" if found else "no file, and no thumbprint of a rejected certificate"
            raise ConfigurationError(f'"{begin}": {count}; `rt-engine opcua trust` lists those of {self.folder}')
        return found[0]

    def _vouched(self, peer: Known, now: datetime) -> x509.Certificate | None:
        """The authority that vouches for a peer, None for one that is trusted itself; raises `UntrustedError`."""
        trusted = [known.certificate for known in self._certificates(TRUSTED)]
        issuer = None
        if peer.certificate not in trusted:
            issuer = next((ca for ca in trusted if _has_signed(ca, peer.certificate)), None)
            if issuer is None:
                raise UntrustedError(self._reject(peer), "BadCertificateUntrusted")
        for of, whose in ((peer.certificate, _said(peer)), (issuer, "the certificate of its authority")):
            if of is not None and not of.not_valid_before_utc <= now <= of.not_valid_after_utc:
                span = f"{of.not_valid_before_utc:%Y-%m-%d} to {of.not_valid_after_utc:%Y-%m-%d}"
                raise UntrustedError(f"{whose} is valid from {span}, not today", "BadCertificateTimeInvalid")
        if issuer is not None:
            self._check_revoked(issuer, peer)
        return issuer

    def overdue(self, now: datetime | None = None) -> tuple[tuple[Path, datetime], ...]:
        """Lists of revoked certificates that were to be renewed before now, and by when. What they name stays revoked; whom they do
        not name is let in all the same: a plant does not stand still because nobody brought the new one."""
        today = now or datetime.now(UTC)
        found = ((path, _parsed_list(_read(path))) for path in self._files(TRUSTED, (".crl",)))
        untils = ((path, listed.next_update_utc) for path, listed in found if listed is not None)
        return tuple((path, until) for path, until in untils if until is not None and until < today)

    def _check_revoked(self, issuer: x509.Certificate, peer: Known) -> None:
        for path in self._files(TRUSTED, (".crl",)):
            listed = _parsed_list(_read(path))
            if listed is None:  # it may be the one that says no
                raise UntrustedError(f"{path} is no list of revoked certificates", "BadCertificateRevocationUnknown")
            if listed.issuer != issuer.subject or not listed.is_signature_valid(issuer.public_key()):  # type: ignore[arg-type]
                continue
            if listed.get_revoked_certificate_by_serial_number(peer.certificate.serial_number) is not None:
                raise UntrustedError(f"{_said(peer)} was revoked by its authority", "BadCertificateRevoked")

    def _reject(self, peer: Known) -> str:
        """Keep what nobody knows, within bounds; gives what is said of it."""
        place = self.folder / REJECTED / f"{peer.thumbprint}.der"
        mend = f"is it the right one? rt-engine opcua trust -f {self.folder} {peer.thumbprint}"
        with suppress(OSError):
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not place.exists():
                kept = sorted(self._files(REJECTED, _SUFFIXES), key=lambda path: path.stat().st_mtime_ns)
                for oldest in kept[: len(kept) - MOST_REJECTED + 1]:
                    oldest.unlink(missing_ok=True)
                write_whole(place, der_of(peer.certificate))
        if not place.exists():
            mend = f"{place.parent} cannot be written, so put it into {self.folder / TRUSTED} yourself, if it is the right one"
        return f"{_said(peer)} is not trusted; {mend}"

    def _certificates(self, room: str) -> tuple[Known, ...]:
        found = ((path, _parsed(_read(path))) for path in self._files(room, _SUFFIXES))
        return tuple(Known(path, certificate) for path, certificate in found if certificate is not None)

    def _files(self, room: str, suffixes: tuple[str, ...]) -> list[Path]:
        try:
            names = sorted(os.listdir(self.folder / room))
        except OSError:
            return []
        return [self.folder / room / name for name in names if name.lower().endswith(suffixes)]


def thumbprint(certificate: x509.Certificate) -> str:
    """SHA-1 of the DER form, 40 capital hexadecimal digits."""
    return hashlib.sha1(der_of(certificate), usedforsecurity=False).hexdigest().upper()


def der_of(certificate: x509.Certificate) -> bytes:
    """As it travels."""
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.DER)


def common_name(certificate: x509.Certificate) -> str:
    """The subject's common name, else the whole subject."""
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(names[0].value) if names else certificate.subject.rfc4514_string()


def _in_a_line(text: str) -> str:
    """Strangers choose it, and it stands in lists that say whom we trust."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def application_uris(certificate: x509.Certificate) -> list[str]:
    """The URIs among its alternative names."""
    names = _alternative_names(certificate)
    return list(names.get_values_for_type(x509.UniformResourceIdentifier)) if names is not None else []


def leaf(der: bytes) -> bytes:
    """The first certificate of a chain, as peers send it: one DER sequence after the other."""
    if len(der) < 4 or der[0] != _SEQUENCE or der[1] != _LENGTH_BYTES:
        return der
    return der[: 4 + int.from_bytes(der[2:4], "big")]


def _is_for(certificate: x509.Certificate, host: str) -> bool:
    names = _alternative_names(certificate)
    if names is None:
        return False
    try:
        return ipaddress.ip_address(host) in names.get_values_for_type(x509.IPAddress)
    except ValueError:
        return host.lower() in [name.lower() for name in names.get_values_for_type(x509.DNSName)]


def _alternative_names(certificate: x509.Certificate) -> x509.SubjectAlternativeName | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):  # ValueError: extensions that are none
        return None


def _has_signed(authority: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        if not authority.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
        certificate.verify_directly_issued_by(authority)
    except (x509.ExtensionNotFound, ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _said(peer: Known) -> str:
    return f'its certificate "{peer.name[:MOST_LETTERS]}", {peer.thumbprint},'


def _read(path: Path) -> bytes:
    """What a file begins with; nothing, of one that cannot be read."""
    try:
        with open_file(path) as source:
            return source.read(MOST_BYTES)
    except OSError:
        return b""


def _parsed(data: bytes) -> x509.Certificate | None:
    for load in (x509.load_der_x509_certificate, x509.load_pem_x509_certificate):
        with suppress(ValueError, UnsupportedAlgorithm):
            return load(data)
    return None


def _parsed_list(data: bytes) -> x509.CertificateRevocationList | None:
    for load in (x509.load_der_x509_crl, x509.load_pem_x509_crl):
        with suppress(ValueError, UnsupportedAlgorithm):
            return load(data)
    return None
