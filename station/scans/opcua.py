"""The command `scan opcua`, which is also `opcua browse`: the variables of an OPC UA server, and a station file that reads them.

URL -> a session -> nodes below Objects -> variables with type, unit and value -> a station file
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from station.scans.shared.proposed import check_output, command_line, give, next_step
from station.terms.counting import many

if TYPE_CHECKING:
    from rt_native.terminal import Terminal
    from station.scans.shared.opcua_proposal import ServerFound

ORDER = 30
ANSWER_S = 5.0
How = tuple[str, str, Path, str, Path | None]
"""Policy, mode, folder of certificates, user, file of the password."""


def opcua(
    url: Annotated[str, typer.Argument(metavar="URL", help="The server: opc.tcp://192.168.10.5:4840.")],
    under: Annotated[
        str, typer.Option(metavar="PATH", help="Only what lies below this way from Objects: Line/Axis.")
    ] = "",
    security: Annotated[
        str, typer.Option(metavar="POLICY", help="Basic256Sha256, Aes128Sha256RsaOaep, Aes256Sha256RsaPss or none.")
    ] = "Basic256Sha256",
    mode: Annotated[str, typer.Option(metavar="MODE", help="sign-and-encrypt or sign.")] = "sign-and-encrypt",
    folder: Annotated[
        Path, typer.Option("-f", "--folder", metavar="FOLDER", help="Our certificate, and those that are trusted.")
    ] = Path("opcua"),
    user: Annotated[str, typer.Option(metavar="NAME", help="User at the server; by default anonymous.")] = "",
    password_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File whose first line is the password.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="The station file; by default it is printed.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """List the variables of an OPC UA server with type, unit and value, and propose a station file that reads them.

    Nothing is written to the server. The table goes to the screen, the station file to the output.
    """
    from rt_native.terminal import Terminal
    from rt_native.text import print_json
    from station.scans.shared.opcua_proposal import as_dicts, proposal, sheet

    check_output(output)
    _check(url, security, mode)
    errors = Terminal(stderr=True)
    found = _found(errors, url, under, (security, mode, folder, user, password_file))
    if as_json:
        print_json(as_dicts(found))
    else:
        errors.print(f"{many(len(found.variables), 'variable')} of {url}", highlight=False, markup=False)
        errors.print(sheet(found))
        if found.is_cut:
            errors.print("there are more than these: name a part of them with --under", style="yellow")
    if not as_json or output is not None:
        give(proposal(found, command_line()), output)
    if output is not None:
        for line in (f"{output}   link and tags, to go on with", next_step(output)):
            errors.print(line, soft_wrap=True, highlight=False, markup=False)


def _check(url: str, security: str, mode: str) -> None:
    from station.links.opcua import MODES, POLICIES, wrong_url

    if why := wrong_url(url):
        raise typer.BadParameter(why, param_hint="URL")
    for option, value, allowed in (("--security", security, POLICIES), ("--mode", mode, MODES)):
        if value not in allowed:
            raise typer.BadParameter(f'"{value}" is none of {", ".join(allowed)}', param_hint=option)


def _found(errors: Terminal, url: str, under: str, how: How) -> ServerFound:
    import asyncio

    from station.errors import ScanError
    from station.scans.shared.opcua_proposal import ServerFound
    from station.scans.shared.progress import progress

    try:
        from fieldbus.opcua.browsing import browse
        from fieldbus.opcua.session import Where
    except ModuleNotFoundError as error:
        raise ScanError(f"OPC UA needs the package asyncua: pip install 'rt-engine[opcua]' ({error})") from error
    where = Where(url, *how)  # type: ignore[arg-type]  # the mode has been checked
    with progress(errors) as (tell, _):
        tell(f"connecting to {url}")
        variables, is_cut = asyncio.run(browse(where, ANSWER_S, under, tell))
    return ServerFound(where, tuple(variables), is_cut)
