"""The commands `opcua ...`: our own certificate, whose certificates are trusted, what a server has."""

from __future__ import annotations

from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rt_native.text import print_json
from station.commands.shared.explaining import explained, say
from station.commands.shared.options import JsonOption
from station.scans import opcua as scanning

if TYPE_CHECKING:
    from fieldbus.opcua.certificates import Known

ORDER = 168
opcua = typer.Typer(help="OPC UA: our own certificate, whose are trusted, what a server has.", no_args_is_help=True)
FolderOption = Annotated[
    Path,
    typer.Option("-f", "--folder", metavar="FOLDER", help="The folder that the station file names as certificates."),
]
FOLDER = Path("opcua")


@opcua.command("browse")
@wraps(scanning.opcua)
def browse(**options: Any) -> None:
    """As `scan opcua`."""
    from rt_native.terminal import Terminal

    with explained(Terminal(stderr=True)):
        scanning.opcua(**options)


@opcua.command("certificate")
def certificate(
    folder: FolderOption = FOLDER,
    uri: Annotated[str, typer.Option(metavar="URI", help="The application URI; by default urn:HOST:rt-engine.")] = "",
    name: Annotated[str, typer.Option(metavar="NAME", help="The common name.")] = "rt-engine",
    host: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="Name or address by which clients call a server here; may be repeated."),
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=36500, help="How long it is valid.")] = 1825,
    renew: Annotated[
        bool, typer.Option("--renew", help="One is there: make another for the same key, which peers must trust anew.")
    ] = False,
) -> None:
    """Make our own certificate, self-signed, with its private key. The peers must trust own.der: copy it to them."""
    from rt_native.terminal import Terminal

    with explained(Terminal(stderr=True)):
        from fieldbus.opcua.own import make

        own = make(folder, uri, name, host or (), days, renew)
        console = Terminal()
        say(console, f"{own.path}   {own.name}, {own.thumbprint}, until {own.until:%Y-%m-%d}: let the peers trust it")
        say(console, f"{own.key_path}   its private key: it stays here")
        say(console, f"application URI: {own.uri}")


@opcua.command("trust")
def trust(
    what: Annotated[
        str,
        typer.Argument(
            metavar="FILE|THUMBPRINT",
            help="A certificate, or the begin of a rejected one's thumbprint; none: list all.",
        ),
    ] = "",
    folder: FolderOption = FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Trust a peer's certificate, or an authority's; without one, list who is trusted and who was rejected."""
    from rt_native.terminal import Terminal

    console = Terminal()
    with explained(Terminal(stderr=True)):
        from fieldbus.opcua.certificates import Certificates

        certificates = Certificates(folder)
        if what:
            known = certificates.trust(what)
            say(console, f"{known.path}   trusted: {known.name}, {known.thumbprint}")
            return
        rooms = dict(zip(("trusted", "rejected"), certificates.listed(), strict=True))
        overdue = {str(path): f"{until:%Y-%m-%d}" for path, until in certificates.overdue()}
        if as_json:
            print_json(
                {room: [_as_dict(known) for known in found] for room, found in rooms.items()} | {"overdue": overdue}
            )
            return
        for room, found in rooms.items():
            say(console, f"{room}: {len(found) or 'nobody'}")
            for known in found:
                say(console, f"  {known.thumbprint}  until {known.until:%Y-%m-%d}  {known.name}  {known.uri}")
        for path, until in overdue.items():
            say(console, f"{path}: was to be renewed by {until}; who was revoked later is let in")


def _as_dict(known: Known) -> dict[str, str]:
    return {
        "thumbprint": known.thumbprint,
        "name": known.name,
        "uri": known.uri,
        "until": known.until.isoformat(timespec="seconds"),
        "file": str(known.path),
    }
