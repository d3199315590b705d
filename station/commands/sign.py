"""The command `sign`: a model's signature, which a client sends before the file itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from station.commands.shared.explaining import explained, say

ORDER = 130


def sign(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The model, .onnx or .rtp.")],
    key: Annotated[Path, typer.Option("--key", metavar="FILE", help="The private key that `rt-engine keygen` made.")],
    slot: Annotated[str, typer.Option("--slot", metavar="NAME", help="The model's name in the station file.")],
    serial: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=2**64 - 1,
            help="A station takes none lower than its last; by default the time in milliseconds.",
        ),
    ] = None,
) -> None:
    """Sign a model for one slot: writes MODEL.sig, which a client sends before the file itself.

    With an ECDSA key (keygen --ecdsa) it writes MODEL.sigstore.json, a bundle of OpenSSF model-signing, instead.
    """
    from rt_native.terminal import Terminal

    with explained(Terminal(stderr=True)):
        from plc_bindings.errors import SigningError
        from plc_bindings.security import signing
        from rt_native.files import open_file
        from station.terms.tables import NAME_PATTERN

        if not re.fullmatch(NAME_PATTERN, slot):
            raise typer.BadParameter(f"{slot!r} cannot be a model's name in a station file", param_hint="--slot")
        private = signing.load_private(key)
        target = Path(f"{model}{signing.suffix_of(private)}")
        try:
            with open_file(model) as file:
                data = file.read()
            signature = signing.sign(private, slot, data, serial, model.name)
            target.write_bytes(signature)
        except OSError as error:
            raise SigningError(f"{error.filename}: {error.strerror}") from error
        public = signing.PublicKey.of(private)
        say(
            Terminal(), f"{target}   for slot {slot}, serial number {signing.serial_of(signature)}, {len(data):,} bytes"
        )
        say(Terminal(), f"signed with the key whose public part is {public.text}")
