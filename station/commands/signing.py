"""The commands `keygen` and `sign`: who may replace models from afar. They import what they need when they run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from station.commands.explaining import explained, say


def keygen(
    name: Annotated[Path, typer.Option("-o", "--output", metavar="NAME", help="Writes NAME.pem and NAME.pub.")],
) -> None:
    """Make a key pair for signing models: NAME.pem stays with who signs, the line in NAME.pub goes into station.toml."""
    from rich.console import Console

    if not name.name:
        raise typer.BadParameter(f"{name} is a folder; name the files in it", param_hint="--output")
    with explained(Console(stderr=True)):
        from plc_bindings.errors import SigningError
        from plc_bindings.security.signing import generate

        private, public = name.with_name(name.name + ".pem"), name.with_name(name.name + ".pub")
        if public.exists():
            raise SigningError(f"{public} is there already, and a key is never overwritten; choose another name")
        key = generate(private)
        try:
            public.write_text(key.text + "\n", encoding="utf-8")
        except OSError as error:
            raise SigningError(f"{public} cannot be written ({error.strerror}); it would be: {key.text}") from error
        say(Console(), f"{private}   the private key: whoever has it can replace models. It belongs on no station")
        say(Console(), f'{public}   the public key, for the station file:\n\n[station]\nkeys = ["{key.text}"]')


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
    """Sign a model for one slot: writes MODEL.sig, which a client sends before the file itself."""
    from rich.console import Console

    with explained(Console(stderr=True)):
        from plc_bindings.errors import SigningError
        from plc_bindings.security import signing
        from station.file.config import NAME_PATTERN

        if not re.fullmatch(NAME_PATTERN, slot):
            raise typer.BadParameter(f"{slot!r} cannot be a model's name in a station file", param_hint="--slot")
        private = signing.load_private(key)
        target = Path(f"{model}{signing.SUFFIX}")
        try:
            data = model.read_bytes()
            signature = signing.sign(private, slot, data, serial)
            target.write_bytes(signature)
        except OSError as error:
            raise SigningError(f"{error.filename}: {error.strerror}") from error
        public = signing.PublicKey(private.public_key().public_bytes_raw())
        say(Console(), f"{target}   for slot {slot}, serial number {signing.serial_of(signature)}, {len(data):,} bytes")
        say(Console(), f"signed with the key whose public part is {public.text}")
