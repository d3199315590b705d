"""The command `keygen`: a key pair for who may replace models from afar, or gives a fleet its orders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from station.commands.shared.explaining import explained, say

ORDER = 120


def keygen(
    name: Annotated[Path, typer.Option("-o", "--output", metavar="NAME", help="Writes NAME.pem and NAME.pub.")],
    ecdsa: Annotated[
        bool, typer.Option("--ecdsa", help="A key on the curve P-256, for OpenSSF model-signing bundles.")
    ] = False,
) -> None:
    """Make a key pair for signing models, or a fleet's orders: NAME.pem stays with who signs, NAME.pub goes to stations."""
    from rt_native.terminal import Terminal

    if not name.name:
        raise typer.BadParameter(f"{name} is a folder; name the files in it", param_hint="--output")
    with explained(Terminal(stderr=True)):
        from plc_bindings.errors import SigningError
        from plc_bindings.security.signing import ECDSA, ED25519, generate

        private, public = name.with_name(name.name + ".pem"), name.with_name(name.name + ".pub")
        if public.exists():
            raise SigningError(f"{public} is there already, and a key is never overwritten; choose another name")
        key = generate(private, ECDSA if ecdsa else ED25519)
        try:
            public.write_text(key.text + "\n", encoding="utf-8")
        except OSError as error:
            raise SigningError(f"{public} cannot be written ({error.strerror}); it would be: {key.text}") from error
        console = Terminal()
        say(console, f"{private}   the private key: it signs where the public one is named, and belongs on no station")
        say(
            console,
            f"{public}   the public key, for the station file: in [station] for models, in a fleet server for orders",
        )
        say(console, f'\nkeys = ["{key.text}"]')
