"""The commands `ads ...`: what a TwinCAT controller needs before a link can call it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Final

import typer

from station.commands.shared.explaining import explained, say
from station.errors import ExitCode

if TYPE_CHECKING:
    from fieldbus.ads.route import Route
    from rt_native.terminal import Terminal

ORDER = 67
ANSWER_NS: Final = 3_000_000_000
ads = typer.Typer(help="Prepare a TwinCAT controller for links of type ads.", no_args_is_help=True)


@ads.callback()
def _only() -> None:
    """Prepare a TwinCAT controller for links of type ads."""


@ads.command("add-route")
def add_route(
    host: Annotated[str, typer.Argument(metavar="HOST", help="Name or address of the controller.")],
    net_id: Annotated[
        str, typer.Option(metavar="NETID", help="AMS NetId of this computer; left out: its address, and .1.1.")
    ] = "",
    address: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address of this computer, as the controller sees it.")
    ] = "",
    name: Annotated[str, typer.Option(help="Name of the route in the controller.")] = "",
) -> None:
    """Let this computer ask a controller: add a route there. Asks for user and password of the controller."""
    from rt_native.terminal import Terminal

    if net_id and not re.fullmatch(r"\d{1,3}(\.\d{1,3}){5}", net_id):
        message = f"{net_id} is no AMS NetId; six numbers with dots, for example 5.12.34.56.1.1"
        raise typer.BadParameter(message, param_hint="--net-id")
    console = Terminal()
    with explained(Terminal(stderr=True)):
        import socket

        from fieldbus.ads import route

        ours = address or route.address_towards(host)
        controller = route.net_id_of(host)
        wanted = route.Route(host, net_id or f"{ours}.1.1", ours, name or socket.gethostname() or ours)
        say(console, f"{host} is the controller {controller}; its route to {wanted.net_id} shall lead to {ours}")
        say(console, "Its user and password are needed. They travel unencrypted: do this in a network that you trust.")
        user = typer.prompt("User", default="Administrator")
        password = typer.prompt("Password", default="", hide_input=True, show_default=False)
        route.add_route(wanted, user, password)
        say(console, f'the route "{wanted.name}" is there')
        _next_steps(console, wanted, controller)


def _next_steps(console: Terminal, route: Route, controller: str) -> None:
    """Ask through the route, and show what goes into the station file."""
    answer, is_good = _through(route, controller)
    say(console, answer, "" if is_good else "yellow")
    own = "" if route.net_id == f"{route.address}.1.1" else f'\nlocal_net_id = "{route.net_id}"'
    where = "" if controller.startswith(f"{route.host}.") else f'\nhost = "{route.host}"'
    say(console, f'\nIn the station file:\n\n[links.plc]\ntype = "ads"\nams_net_id = "{controller}"{where}{own}\n')
    say(console, "Then `rt-engine check` looks the file over, and `rt-engine run` shows each symbol that is not there.")
    if not is_good:
        raise typer.Exit(ExitCode.FAILED)


def _through(route: Route, controller: str) -> tuple[str, bool]:
    """(what the controller's PLC says through its new route, whether that is well)."""
    import time

    from fieldbus.ads.client import AdsClient
    from fieldbus.ads.protocol import PLC_PORT, RUN
    from fieldbus.ads.words import state_name
    from fieldbus.errors import DeviceError

    client = AdsClient(controller, PLC_PORT, route.host, local_net_id=route.net_id)
    try:
        client.dial(time.monotonic_ns() + ANSWER_NS)
        state = client.read_state(time.monotonic_ns() + ANSWER_NS)
    except DeviceError as error:
        return f"asked through it, the PLC at AMS port {PLC_PORT} does not answer yet: {error}", False
    finally:
        client.close()
    if state != RUN:
        return f"asked through it, the PLC answers: it is in {state_name(state)}; a link wants it in RUN", True
    return "asked through it, the PLC answers: it is in RUN", True
