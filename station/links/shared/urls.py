"""What follows `SCHEME://` in `rt-engine new --link`, as keys of a link. Pure; all raise ValueError with the form."""

from __future__ import annotations

import re
from ipaddress import IPv6Address

from station.links.shared.hosts import no_host


def modbus_tcp_keys(rest: str) -> str:
    """`HOST[:PORT][/UNIT]`."""
    found = re.fullmatch(r"([A-Za-z0-9_.-]+|\[[0-9a-fA-F:.]+\])(?::(\d{1,5}))?(?:/(\d{1,3}))?/?", rest)
    if found is None:
        raise ValueError(f'"{rest}" has not the form modbus://HOST[:PORT][/UNIT]')
    host = found[1].strip("[]")
    if why := _no_ipv6(host) if found[1] != host else no_host(host):
        raise ValueError(why)
    return _keys(host=host, port=found[2], unit=found[3])


def modbus_rtu_keys(rest: str) -> str:
    """`/dev/PORT[/UNIT]`."""
    found = re.fullmatch(r"(/dev/[A-Za-z0-9_./-]*[A-Za-z_][0-9]*)(?:/(\d{1,3}))?", rest)
    if found is None:
        raise ValueError(f'"{rest}" has not the form modbus-rtu:///dev/PORT[/UNIT], like modbus-rtu:///dev/ttyUSB0/7')
    return _keys(device=found[1], unit=found[2])


def ads_keys(rest: str) -> str:
    """`NETID[@HOST][:PORT]`, or an address of four numbers, whose NetId as a rule is that and .1.1."""
    found = re.fullmatch(r"(\d{1,3}(?:\.\d{1,3}){3})((?:\.\d{1,3}){2})?(?:@([A-Za-z0-9_.-]+))?(?::(\d{1,5}))?/?", rest)
    if found is None:
        raise ValueError(
            f'"{rest}" has not the form ads://NETID[@HOST][:PORT], like ads://5.12.34.56.1.1@192.168.10.5:851'
        )
    host = found[3] or ("" if found[2] else found[1])
    if host and (why := no_host(host)):
        raise ValueError(why)
    return _keys(ams_net_id=found[1] + (found[2] or ".1.1"), host=host or None, port=found[4])


def opcua_keys(rest: str) -> str:
    """`HOST[:PORT][/PATH]`."""
    found = re.fullmatch(r"([A-Za-z0-9_.-]+|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?(?:/[^\s\"\\]*)?", rest)
    if found is None:
        raise ValueError(f'"{rest}" has not the form opc.tcp://HOST[:PORT][/PATH]')
    host = found[1].strip("[]")
    if why := _no_ipv6(host) if found[1] != host else no_host(host):
        raise ValueError(why)
    return _keys(url=f"opc.tcp://{rest}")


def _no_ipv6(host: str) -> str:
    try:
        IPv6Address(host)
    except ValueError:
        return f"[{host}] is no IPv6 address"
    return ""


def _keys(**values: str | None) -> str:
    """A line for each that there is; numbers without quotes."""
    said = ((key, value) for key, value in values.items() if value is not None)
    return "\n".join(
        f"{key} = {int(value)}" if key in ("port", "unit") else f'{key} = "{value}"' for key, value in said
    )
