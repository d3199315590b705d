"""Is a file what a key of the station has signed? For who brings a signature beside it, though on the spot none is needed."""

from __future__ import annotations

from collections.abc import Sequence

from plc_bindings.errors import SigningError
from plc_bindings.security.signing import PublicKey, proven
from station.change.parts import Candidate


def unproven(keys: Sequence[PublicKey], candidate: Candidate, signature: bytes) -> str:
    """Why the signature that came with a version is not good for it; "": it is.

    Slot and serial number may be missing in a bundle, and an old file may come again: who is on the spot may go back on purpose.
    """
    if candidate.sha256 != candidate.read.sha256:
        return "its weights lie in files beside it, and a signature is of one file"
    try:
        proven(keys, candidate.slot, bytes.fromhex(candidate.sha256), signature, must_bind=False)
    except SigningError as error:
        return str(error)
    return ""
