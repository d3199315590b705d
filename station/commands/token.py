"""The command `token`: what somebody shows to a station's page, its inference protocol, or as his password in OPC UA."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from station.commands.shared.explaining import say

ORDER = 125


def token(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is: he is called so in the audit log.")],
) -> None:
    """Make a token for a station's page or HTTP server, or a password for OPC UA: shown once; the station file has its hash."""
    from plc_bindings.security.tokens import hashed, new_token
    from rt_native.terminal import Terminal
    from station.terms.tables import NAME_PATTERN

    if not re.fullmatch(NAME_PATTERN, name):
        raise typer.BadParameter(
            "a name has letters, digits, '_', '.' and '-', and begins with no digit", param_hint="NAME"
        )
    secret = new_token()
    say(Terminal(), f"{secret}   the token of {name}: it is not shown again, and belongs on no station")
    key = name if "." not in name else f'"{name}"'
    say(Terminal(), f'its hash, for a server in the station file:\n\ntokens = {{ {key} = "{hashed(secret)}" }}')
