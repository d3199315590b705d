"""What tables say of tokens, whatever carries them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from station.terms.findings import Finding, Step


def token_findings(path: tuple[Step, ...], tokens: Mapping[str, str]) -> Iterator[Finding]:
    """Names that are one, hashes that are none; `path` is the table's."""
    from plc_bindings.security.tokens import is_hash

    names: set[str] = set()
    for who, text in tokens.items():
        if who.lower() in names:
            yield Finding((*path, "tokens", who), "is the name of another token too: names are compared in lower case")
        names.add(who.lower())
        if not is_hash(text):
            message = (
                f"is no hash of a token: `rt-engine token {who}` makes both; the token itself does not belong here"
            )
            yield Finding((*path, "tokens", who), message)
