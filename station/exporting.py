"""A station file -> what is exported of it. Nothing is started."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from plc_bindings.errors import ExportError
from plc_bindings.st.project import Ads, project
from plc_bindings.st.write import twincat_files
from station.config import AdsServerTable, ServerTable
from station.parts import build
from station.reading import StationFile, read_station

_KINDS: Final = {"twincat": ("ads",), "portable": ("modbus-tcp", "modbus-tls", "modbus-rtu")}
"""Flavour -> types of servers that its blocks call."""


def structured_text_files(source: Path, flavour: Literal["twincat", "portable"], server: str | None) -> dict[str, str]:
    """File name -> text: blocks that call the models of the station file `source`.

    Raises:
        StationFileError: the file cannot be used.
        BindingError: the station has no server that such blocks can call, or a model that no PLC type can carry.
    """
    file = read_station(source)
    table = _server(file, flavour, server)
    found = project(file.config.station.name, build(file).models)
    if isinstance(table, AdsServerTable):
        return twincat_files(found, _ads(table))
    raise ExportError("the portable flavour is not there yet")


def _server(file: StationFile, flavour: str, name: str | None) -> ServerTable:
    """The server that the blocks call: the one that is named, or the only one of its kind."""
    fitting = {n: table for n, table in file.config.servers.items() if table.type in _KINDS[flavour]}
    kinds = " or ".join(f'"{kind}"' for kind in _KINDS[flavour])
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


def _ads(table: AdsServerTable) -> Ads:
    net_id = table.ams_net_id or ("" if table.host in ("0.0.0.0", "::") else f"{table.host}.1.1")
    return Ads(net_id, table.ams_port)
