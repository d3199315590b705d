"""A station file -> what is exported of it. Nothing is started."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Literal

from plc_bindings.data.types import identifier
from plc_bindings.errors import ExportError
from plc_bindings.modbus.map import RegisterMap
from plc_bindings.st.project import Ads, Modbus, Project, Registers, project
from plc_bindings.st.write import portable_files, twincat_files
from station.file.config import AdsServerTable, ModbusTcpServer, ModbusTlsServer, ServerTable
from station.file.reading import StationFile, read_station
from station.wiring.parts import build
from station.wiring.plc_side import plc_side_at_rest
from station.wiring.server_places import net_id_of

Flavour = Literal["twincat", "portable"]
_KINDS: Final = {"twincat": ("ads",), "portable": ("modbus-tcp", "modbus-tls")}
"""Flavour -> types of servers that its blocks call."""


def structured_text_files(
    source: Path, flavour: Flavour, server: str | None = None, only: Sequence[str] = ()
) -> dict[str, str]:
    """File name -> text: blocks that call models of a station. Arguments and errors: as `exported`."""
    found, where = exported(source, flavour, server, only)
    return twincat_files(found, where) if isinstance(where, Ads) else portable_files(found, where)


def unreachable(source: Path, flavour: Flavour, server: str | None = None) -> str:
    """Why a PLC elsewhere does not reach the server by what the blocks know of it; empty: it does. Errors: as `exported`."""
    table = _server(read_station(source), flavour, server)
    assert isinstance(table, AdsServerTable | ModbusTcpServer | ModbusTlsServer)
    host = ip_address(table.host)
    if host.is_loopback:
        return (
            f"the server listens at {host}: only a PLC on this computer reaches it; others need its `host`, and `allow`"
        )
    if host.is_unspecified and isinstance(table, AdsServerTable) and not table.ams_net_id:
        return f"the server listens at {host}, so NET_ID is empty, which is the PLC itself: give the server an `ams_net_id`"
    if host.is_unspecified and not isinstance(table, AdsServerTable):
        return f"the server listens at {host}: put the station's address in its place where the blocks connect"
    return ""


def exported(
    source: Path, flavour: Flavour, server: str | None = None, only: Sequence[str] = ()
) -> tuple[Project, Ads | Modbus]:
    """The models that blocks call, and where they are.

    Args:
        source: the station file.
        flavour: for which PLCs.
        server: which of several servers the blocks call.
        only: these models; none: all of them.

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
    found = project(file.config.station.name, chosen)
    if isinstance(table, AdsServerTable):
        return found, _ads(table)
    assert isinstance(table, ModbusTcpServer | ModbusTlsServer)
    side = plc_side_at_rest(file, parts)
    return found, _modbus(table, RegisterMap(side.database, side.models), set(chosen))


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
    return Ads(net_id_of(table), table.ams_port)


def _modbus(table: ModbusTcpServer | ModbusTlsServer, registers: RegisterMap, models: set[str]) -> Modbus:
    blocks = {block.served.name: block for block in registers.blocks}
    if models - set(blocks):
        why = "; ".join(registers.left_out)
        raise ExportError(f"not every model can be called over Modbus: {why}. Choose the others with --model")
    hashes = {place.name: place.register for place in registers.places}
    places = {
        name: Registers(hashes[f"Models.{identifier(name)}.SignatureHash"], block.inputs, block.result)
        for name, block in blocks.items()
    }
    return Modbus(table.host, table.port, table.unit, table.order, places)
