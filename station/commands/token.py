"""The command `token`: what somebody shows to look at a station's page, or to give it commands."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from station.commands.shared.explaining import say

ORDER = 125


def token(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is: he is called so in the audit log.")],
) -> None:
    """Make a token for the page of a station: shown once, to be kept secret; the station file has its hash alone."""
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
    say(Terminal(), f'its hash, for the station file:\n\n[servers.page.tokens]\n{key} = "{hashed(secret)}"')
