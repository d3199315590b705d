"""A station file -> what is exported of it. Nothing is started."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plc_bindings.errors import ExportError
from plc_bindings.st.project import Project, project
from station.file.reading import StationFile, read_station
from station.links import type_of
from station.servers import ServerTable, server_tables
from station.wiring.parts import build
from station.wiring.plc_side import plc_side_at_rest


def structured_text_files(
    source: Path, flavour: str, server: str | None = None, only: Sequence[str] = (), prefix: str = ""
) -> dict[str, str]:
    """File name -> text: blocks that call models of a station. Arguments and errors: as `exported`."""
    found, callee = exported(source, flavour, server, only, prefix)
    return _server(read_station(source), flavour, server).blocks(found, callee)


def unreachable(source: Path, flavour: str, server: str | None = None) -> str:
    """Why a PLC elsewhere does not reach the server by what the blocks know of it; empty: it does. Errors: as `exported`."""
    return _server(read_station(source), flavour, server).unreachable()


def exported(
    source: Path, flavour: str, server: str | None = None, only: Sequence[str] = (), prefix: str = ""
) -> tuple[Project, Any]:
    """The models that blocks call, and what the blocks know of the server.

    Args:
        source: the station file.
        flavour: for which PLCs.
        server: which of several servers the blocks call.
        only: these models; none: all of them.
        prefix: in names that are the station's own; empty: it shares nothing.

    Raises:
        StationFileError: the file cannot be used.
        BindingError: the station has no server that such blocks can call, or a model that no PLC type can carry.
    """
    file = read_station(source)
    table = _server(file, flavour, server)
    parts = build(file)
    unknown = sorted(set(only) - set(parts.models))
    if unknown:
        raise ExportError(f"there is no model {', '.join(unknown)}; the station has {', '.join(parts.models)}")
    chosen = {name: model for name, model in parts.models.items() if name in only or not only}
    found = project(file.config.station.name, chosen, prefix)
    return found, table.callee(lambda: plc_side_at_rest(file, parts).offer, chosen)


def _server(file: StationFile, flavour: str, name: str | None) -> ServerTable:
    """The server that the blocks call: the one that is named, or the only one of its kind."""
    fitting = {n: table for n, table in file.config.servers.items() if table.flavour == flavour}
    kinds = " or ".join(f'"{type_of(table)}"' for table in server_tables() if table.flavour == flavour)
    where = f"station '{file.config.station.name}'"
    if name is not None and name not in fitting:
        raise ExportError(f"{where} has no [servers.{name}] of type {kinds}, which the {flavour} flavour calls")
    if not fitting:
        raise ExportError(
            f"{where} has no server that the {flavour} flavour can call; add [servers.NAME] of type {kinds} to its file"
        )
    if name is None and len(fitting) > 1:
        raise ExportError(f"{where} has several servers of type {kinds}: choose with --server {' or '.join(fitting)}")
    return fitting[name or next(iter(fitting))]
