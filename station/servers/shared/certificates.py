"""What tables say of certificates, before clients say it: out of date, of another key, of no authority."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from station.terms.findings import Finding, Step

SOON: Final = timedelta(days=30)


def certificate_findings(path: tuple[Step, ...], folder: Path, cert: str, key: str, ca: str) -> Iterator[Finding]:
    """Of the `cert_file`, `key_file` and `ca_file` of a table, those that are there; `path` is the table's.

    A certificate that is out of date is a warning, not an error: the tasks of a station do not wait for a new one.
    """
    import ssl  # here: a station file without certificates is read without

    now = datetime.now(UTC)
    for name, file, whom in (
        ("cert_file", cert, "others refuse it"),
        ("ca_file", ca, "nobody with its certificates is let in"),
    ):
        if file and (folder / file).is_file():
            yield from _dates((*path, name), folder / file, whom, now)
    if cert and key and all((folder / file).is_file() for file in (cert, key)):
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(folder / cert, folder / key, password=_no_password)
        except (OSError, ValueError) as error:
            words = getattr(error, "reason", "") or str(error)
            yield Finding((*path, "key_file"), f"{key} is no key of the certificate {cert}: {words}")


def _dates(path: tuple[Step, ...], file: Path, whom: str, now: datetime) -> Iterator[Finding]:
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificates(file.read_bytes())
    except (OSError, ValueError):
        yield Finding(path, f"{file.name} holds no certificate in PEM form")
        return
    for one in found:
        begin, end = one.not_valid_before_utc, one.not_valid_after_utc
        if now > end:
            yield Finding(path, f"{file.name} has expired on {end:%Y-%m-%d}: {whom}; renew it", "warning")
        elif now < begin:
            message = (
                f"{file.name} is valid from {begin:%Y-%m-%d} on, and here it is {now:%Y-%m-%d}: is the clock right?"
            )
            yield Finding(path, message, "warning")
        elif end - now < SOON:
            yield Finding(path, f"{file.name} expires on {end:%Y-%m-%d}: then {whom}; renew it before", "warning")


def _no_password() -> str:
    """A key that is locked is refused in words, not asked for at a terminal."""
    raise ValueError("it is locked with a password")
