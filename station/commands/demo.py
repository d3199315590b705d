"""The command `demo`: an unstable machine, balanced, updated and disturbed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from station.commands.shared.explaining import explained
from station.demo.protocols import PlcProtocol

ORDER = 70


def demo(
    report: Annotated[
        Path | None, typer.Option(help="Folder of what it leaves; by default a new one in reports.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port of the simulated machine; 0: a free one.")] = 0,
    better: Annotated[
        Path | None, typer.Option(metavar="MODEL.onnx", help="Network of the hot update; by default one of ours.")
    ] = None,
    plc: Annotated[
        PlcProtocol | None, typer.Option(help="An external PLC program calls the network, over ADS or Modbus.")
    ] = None,
    ethercat: Annotated[
        bool,
        typer.Option("--ethercat", help="A servo axis on a simulated EtherCAT bus instead, in a network of its own."),
    ] = False,
) -> None:
    """Balance an unstable machine over Modbus, replace its network, refuse bad ones, cut power and cable; check that all went well."""
    from rt_native.terminal import Terminal

    with explained(Terminal(stderr=True)):
        if ethercat and (plc or port or better):
            raise typer.BadParameter("it has a machine and networks of its own: leave --plc, --port and --better out")
        from station.running.libraries import compiling

        with compiling():  # once per machine, with a progress bar, before any clock runs; beside what is imported here
            from station.demo.demo import BETTER, Options, compile_networks
            from station.demo.demo import run as play

            options = Options(port, report, better or BETTER, plc=plc, ethercat=ethercat)
            compile_networks(options)
        raise typer.Exit(play(options))
