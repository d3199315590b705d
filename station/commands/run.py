"""The command `run`: a station from its file to its report."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from station.commands.shared.explaining import explained, print_problems, say
from station.commands.shared.options import SocketOption, StationFileArgument
from station.errors import ExitCode

if TYPE_CHECKING:
    from rt_native.terminal import Terminal
    from station.running.station import Station

ORDER = 10
PROCESS = "the process ends with the command"
"""What `main` gives a command line as its object."""
STYLES = {"ok": "green", "warn": "yellow", "bad": "red"}


def run(
    context: typer.Context,
    station: StationFileArgument = Path("station.toml"),
    seconds: Annotated[float | None, typer.Option(min=0, help="Stop after so long; by default at Ctrl-C.")] = None,
    report: Annotated[Path | None, typer.Option(help="Folder of the report; by default as the file says.")] = None,
    socket: SocketOption = None,
) -> None:
    """Run a station: tasks and links, with a live table. Ctrl-C or SIGTERM: outputs safe, report written."""
    from rt_native.faults import tell_faults
    from rt_native.terminal import Terminal
    from station.show.unheld import unheld_output

    tell_faults()
    console, errors = Terminal(), Terminal(stderr=True)
    with ExitStack() as last, unheld_output(), explained(errors):
        from rt_native import background
        from station.file.reading import read_station
        from station.running.control import ControlServer
        from station.running.holding import Held
        from station.running.libraries import compiling
        from station.running.signals import stopped_by_signals
        from station.running.station import Station
        from station.show.report import ReportKeeper
        from station.store.starting import kept_in

        file = read_station(station)
        print_problems(errors, file.warnings)
        here = file.config.station
        store = file.beside(here.store) if here.store else None
        with Held(file) as held, kept_in(store, here.store_keep) as kept:  # before anything is touched
            with compiling(file.config):
                running = Station(file, kept)
            if rest := background.words():
                say(console, rest, "dim")
            print_problems(errors, running.warnings)
            last.enter_context(
                stopped_by_signals(running, is_last=context.find_root().obj is PROCESS)
            )  # until all is said
            with ControlServer(running, _place(socket, running.name), held) as control:
                if control.trouble:
                    say(errors, f"warning: no control socket at {control.path}: {control.trouble}", "yellow")
                else:
                    say(console, f"control socket {control.path}", "dim")
                for name, table in file.config.servers.items():
                    say(console, f"server {name}: {table.place()}", "dim")
                folder = report or file.beside(file.config.station.report)
                with ReportKeeper(running.report_so_far, folder):
                    _run(running, console, seconds)
            _finish(console, errors, running, folder)


def _run(running: Station, console: Terminal, seconds: float | None) -> None:
    """From the start to the end, told to the log and to systemd."""
    from station.machine.notify import Notify
    from station.show.live import view_for
    from station.show.log import Log, logged

    log, notify = Log(running.name), Notify()
    running.diary.tell = log.tell
    with logged(log), running:
        notify.ready(_state(running))
        try:
            running.run(
                view_for(console, running.file.config.station.status_lines),
                seconds,
                lambda: notify.alive(running.ticks, lambda: _state(running)),
            )
        finally:
            notify.stopping()


def _place(socket: Path | None, name: str) -> Path:
    """Where other programs find the control socket. Where no folder for it can be made, its server says so."""
    from station.running.places import socket_path, socket_place

    try:
        return socket or socket_path(name)
    except OSError:
        return socket_place(name)


def _state(station: Station) -> str:
    """The station in a line, for `systemctl status`."""
    from station.terms.counting import many

    snapshot = station.snapshot()
    live = sum(not task.note for task in snapshot.tasks)
    up = sum(link.state == "up" for link in snapshot.links)
    return f"{live} of {many(len(snapshot.tasks), 'task')} live, {up} of {many(len(snapshot.links), 'link')} up"


def _finish(console: Terminal, errors: Terminal, station: Station, folder: Path) -> None:
    """Write the report, and say in plain words how it went."""
    from station.show.report import write_in_time

    report = station.report()
    written = write_in_time(report, folder)
    for event in report.events:
        if (event.kind == "station" and not event.good) or "safe values" in event.text:
            say(console, f"{event.subject}: {event.text}", "green" if event.good else "red")
    for warning in written.warnings:
        say(errors, f"warning: {warning}", "yellow")
    for remark in report.remarks:
        say(console, remark.text, STYLES[remark.level])
    if written.page:
        say(console, f"report {written.page}")
    if report.level == "bad":
        raise typer.Exit(ExitCode.FAILED)
