"""Routes: the entry in a TwinCAT controller that lets this computer ask it, over UDP 48899, with pyads.

user and password  -->  controller          host name, AMS NetId and address of this computer go into its table of routes
"""

import socket
from dataclasses import dataclass
from typing import Final

from fieldbus.errors import DeviceError, GarbageError, NoAnswerError, RefusedError, cause

UDP_PORT: Final = 48899
"""Where TwinCAT's system service takes such requests."""
_WRONG_LOGON: Final = 0x704


@dataclass(frozen=True, slots=True)
class Route:
    """What is added: the controller at `host` shall answer `net_id` at `address`, under the name `name`."""

    host: str
    net_id: str
    address: str
    name: str


def address_towards(host: str) -> str:
    """The address of this computer that packets to `host` come from; raises `DeviceError`."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((host, UDP_PORT))  # sends nothing
            return str(probe.getsockname()[0])
    except (OSError, UnicodeError) as error:
        raise NoAnswerError(f"no way to {host}: {cause(error)}") from error


def net_id_of(host: str) -> str:
    """The AMS NetId of the controller at `host`; raises `DeviceError`. Waits up to five seconds."""
    from pyads.pyads_ex import adsGetNetIdForPLC  # here: a link needs no library

    try:
        return str(adsGetNetIdForPLC(host))
    except Exception as error:
        raise _failure(host, error) from error


def add_route(route: Route, user: str, password: str) -> None:
    """Add it, or replace the one of that name; raises `DeviceError`. The password travels as it is, unencrypted."""
    from pyads import add_route_to_plc

    try:
        done = add_route_to_plc(route.net_id, route.address, route.host, user, password, route.name)
    except Exception as error:
        raise _failure(route.host, error) from error
    if not done:
        message = f"{route.host} refuses: user or password is wrong, or that user may not add routes"
        raise RefusedError(message, _WRONG_LOGON)


def _failure(host: str, error: Exception) -> DeviceError:
    """What an exception of pyads means: silence, no way, or an answer that it does not know."""
    if isinstance(error, TimeoutError):
        return NoAnswerError(
            f"{host} does not answer at UDP port {UDP_PORT}: is it a TwinCAT controller, switched on, and does its firewall "
            "let that port through? Else add the route there: TwinCAT's icon, Router, Edit Routes"
        )
    if isinstance(error, OSError | UnicodeError):
        return NoAnswerError(f"no way to {host}: {cause(error)}")
    return GarbageError(f"{host} answers at UDP port {UDP_PORT} what is no answer of TwinCAT's: {error}")
