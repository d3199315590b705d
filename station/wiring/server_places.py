"""Where a server is, as a PLC's programmer has to know it: one line from its table in the station file."""

from __future__ import annotations

from station.file.config import AdsServerTable, ModbusRtuServer, ServerTable


def net_id_of(table: AdsServerTable) -> str:
    """The AMS NetId that clients ask for; empty where it depends on the address that they connect to."""
    return table.ams_net_id or ("" if table.host in ("0.0.0.0", "::") else f"{table.host}.1.1")


def place_of(table: ServerTable) -> str:
    """`ads at 192.168.10.2:48898, AMS NetId 192.168.10.2.1.1, AMS port 851`."""
    if isinstance(table, AdsServerTable):
        net_id = net_id_of(table) or "the address that a client connects to and .1.1"
        return f"ads at {_address(table.host, table.port)}, AMS NetId {net_id}, AMS port {table.ams_port}"
    if isinstance(table, ModbusRtuServer):
        line = f"{table.baudrate} baud, parity {table.parity}, {table.stopbits} stop bits"
        return f"modbus-rtu at {table.device}, {line}, unit {table.unit}, byte order {table.order}"
    return f"{table.type} at {_address(table.host, table.port)}, unit {table.unit}, byte order {table.order}"


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
