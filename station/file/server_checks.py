"""Relations between [servers] and the rest of a station file: who may come, who may write, what nobody can reach."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Final

from plc_bindings.data.types import identifier
from station.file.config import AdsServerTable, ModbusRtuServer, ModbusTlsServer, PlcLink
from station.file.findings import Finding
from station.file.view import View


def _addresses(view: View) -> Iterator[Finding]:
    """A server that other computers reach says who may come."""
    taken: dict[tuple[str, int], str] = {}
    for name, server in view.config.servers.items():
        if isinstance(server, ModbusRtuServer):
            continue
        path = ("servers", name)
        try:
            address = ipaddress.ip_address(server.host)
        except ValueError:
            yield Finding((*path, "host"), f'"{server.host}" is no IP address; this computer alone: "127.0.0.1"')
            continue
        if isinstance(server, AdsServerTable):
            if not server.ams_net_id and address.version == 6:
                yield Finding(path, 'an IPv6 address makes no AMS NetId: ams_net_id = "192.168.10.2.1.1"')
            if any(int(number) > 255 for number in server.ams_net_id.split(".") if number):
                yield Finding((*path, "ams_net_id"), f'"{server.ams_net_id}" has a number above 255')
            for index, net_id in enumerate(server.allow_net_ids):
                if not _is_net_id(net_id):
                    message = (
                        f'"{net_id}" is no AMS NetId, so it would let nobody in; write six numbers, "192.168.10.5.1.1"'
                    )
                    yield Finding((*path, "allow_net_ids", index), message)
        for index, network in enumerate(server.allow):
            try:
                if ipaddress.ip_network(network).prefixlen == 0:
                    yield Finding((*path, "allow", index), f"{network} is everybody: name those who need it", "warning")
            except ValueError as error:
                yield Finding((*path, "allow", index), f'{error}; write "192.168.10.5" or "192.168.10.0/24"')
        if not address.is_loopback and not server.allow:
            message = f'{server.host} is reached by other computers: say which may connect, allow = ["192.168.10.5"]'
            yield Finding(path, message)
        other = taken.setdefault((server.host, server.port), name)
        if other != name and server.port:
            yield Finding((*path, "port"), f"server {other} listens at {server.host}:{server.port} already")


def _is_net_id(text: str) -> bool:
    """Six numbers up to 255, as a client's NetId is shown."""
    numbers = text.split(".")
    return len(numbers) == 6 and all(n.isascii() and n.isdigit() and str(int(n)) == n and int(n) < 256 for n in numbers)


def _writable(view: View) -> Iterator[Finding]:
    """Inputs that PLC clients are to write, but may not."""
    patterns = [pattern.lower() for server in view.config.servers.values() for pattern in server.writable]
    for name, tag in view.config.tags.items():
        link = view.config.links.get(view.link_of(tag) or "")
        if not isinstance(link, PlcLink) or tag.direction != "in":
            continue
        symbol = f"tags.{identifier(name)}".lower()
        if not view.names("servers"):
            yield Finding(("tags", name), "nobody can write it: a plc link needs a [servers.NAME]")
        elif not any(fnmatchcase(symbol, pattern) for pattern in patterns):
            message = f'nobody may write it: no server names it, writable = ["Tags.{identifier(name)}"]'
            yield Finding(("tags", name), message, "warning")


def _patterns(view: View) -> Iterator[Finding]:
    """What `writable` names, but nothing is: a slip of the pen that a PLC would meet as a refusal."""
    config = view.config
    names = [f"links.{identifier(name)}.reset".lower() for name in view.names("links")]
    names += [f"tasks.{identifier(name)}.reset".lower() for name in view.names("tasks")]
    names += [f"tags.{identifier(name)}".lower() for name in view.names("tags") if _is_input(view, name)]
    for name, server in config.servers.items():
        for index, pattern in enumerate(server.writable):
            if not any(fnmatchcase(one, pattern.lower()) for one in names):
                message = f'"{pattern}" names nothing that can be written: inputs of plc links ("Tags.*"), '
                message += '"Tasks.*.Reset", "Links.*.Reset"; see `rt-engine symbols`'
                yield Finding(("servers", name, "writable", index), message, "warning")


def _is_input(view: View, name: str) -> bool:
    """May PLC clients write this tag? Yes of one whose entry is wrong: it is not to be reported twice."""
    tag = view.config.tags.get(name)
    link = view.link_of(tag) if tag is not None else None
    if tag is None or link is None or link not in view.config.links:
        return True
    return isinstance(view.config.links[link], PlcLink) and tag.direction == "in"


def _remote_updates(view: View) -> Iterator[Finding]:
    if view.config.station.keys:
        yield from _keys(view.config.station.keys)
    updates = [name for name, model in view.config.models.items() if model.remote_update]
    for name in updates:
        path = ("models", name, "remote_update")
        if not view.config.station.keys:
            yield Finding(path, "needs a key that signs such files: keys = [...] in [station]; see `rt-engine keygen`")
        if not any(isinstance(server, AdsServerTable) for server in view.config.servers.values()):
            yield Finding(path, 'needs a server of type "ads"')


def _keys(texts: tuple[str, ...]) -> Iterator[Finding]:
    from plc_bindings.errors import SigningError
    from plc_bindings.security.signing import PublicKey

    for index, text in enumerate(texts):
        try:
            PublicKey.parse(text)
        except SigningError as error:
            yield Finding(("station", "keys", index), str(error))


def _clients_of_tls(view: View) -> Iterator[Finding]:
    for name, server in view.config.servers.items():
        if isinstance(server, ModbusTlsServer) and server.cert_file == server.ca_file:
            yield Finding(
                ("servers", name, "ca_file"), "is the server's own certificate: nobody could be told apart", "warning"
            )


SERVER_CHECKS: Final[tuple[Callable[[View], Iterator[Finding]], ...]] = (
    _addresses,
    _writable,
    _patterns,
    _remote_updates,
    _clients_of_tls,
)
