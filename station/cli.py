"""The command line `rt-engine`. Commands import what they need when they run, so that help is instant.

Exit codes: 0 done; 1 it ran and something did not work; 2 wrong command line; 3 the station file or model cannot be
used; 4 no station answers, or one runs already; 5 the running station refused the update.
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from station.commands.compile import compile
from station.commands.exit_codes import ExitCode
from station.commands.explaining import explained, print_problems, say
from station.commands.export import export
from station.commands.models import bench, inspect
from station.commands.quantize import quantize
from station.commands.signing import keygen, sign
from station.commands.symbols import symbols

if TYPE_CHECKING:
    from rich.console import Console

    from station.machine.doctor import Diagnosis
    from station.running.station import Station

DEFAULT_FILE = "station.toml"
STYLES = {"ok": "green", "warn": "yellow", "bad": "red"}

app = typer.Typer(
    help="Real-time neural networks for machine controllers: ONNX in, a deadline kept every cycle.",
    epilog="Exit codes: 0 done, 1 something did not work, 2 wrong command line, 3 station file or model cannot be "
    "used, 4 no station answers (or one runs already), 5 update refused.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

StationFileArgument = Annotated[Path, typer.Argument(metavar="STATION", help="The station file.")]
StationOption = Annotated[
    str | None,
    typer.Option(
        "--station",
        "-s",
        metavar="NAME|FILE",
        help="Which station: its name or its file; by default station.toml here, else the only one that runs.",
    ),
]
SocketOption = Annotated[Path | None, typer.Option(help="Control socket; by default that of the station's name.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


class PlcProtocol(StrEnum):
    """What the demo's PLC program speaks."""

    ads = "ads"
    modbus = "modbus"


def main() -> None:
    """Entry point of `rt-engine`."""
    app()


@app.command()
def run(
    station: StationFileArgument = Path("station.toml"),
    seconds: Annotated[float | None, typer.Option(min=0, help="Stop after so long; by default at Ctrl-C.")] = None,
    report: Annotated[Path | None, typer.Option(help="Folder of the report; by default as the file says.")] = None,
    socket: SocketOption = None,
) -> None:
    """Run a station: tasks and links, with a live table. Ctrl-C or SIGTERM: outputs safe, report written."""
    from rich.console import Console

    console, errors = Console(), Console(stderr=True)
    with explained(errors):
        from station.file.reading import read_station
        from station.running.control import ControlServer, socket_path
        from station.running.station import Station, stopped_by_signals
        from station.show.live import view_for
        from station.wiring.server_places import place_of

        file = read_station(station)
        print_problems(errors, file.warnings)
        running = Station(file)
        with stopped_by_signals(running), ExitStack() as stack:
            try:
                control = stack.enter_context(ControlServer(running, socket or socket_path(running.name)))
                say(console, f"control socket {control.path}", "dim")
            except OSError as error:
                say(errors, f"warning: no control socket, so no status and update: {error}", "yellow")
            for name, table in file.config.servers.items():
                say(console, f"server {name}: {place_of(table)}", "dim")
            with running:
                running.run(view_for(console), seconds)
    _finish(console, errors, running, report or file.beside(file.config.station.report))


def _finish(console: Console, errors: Console, station: Station, folder: Path) -> None:
    """Write the report, and say in plain words how it went."""
    from station.show.report import write_report

    report = station.report()
    written = write_report(report, folder)
    for event in report.events:
        if event.kind == "station" or "safe values" in event.text:
            say(console, f"{event.subject}: {event.text}", "green" if event.good else "red")
    for warning in written.warnings:
        say(errors, f"warning: {warning}", "yellow")
    for remark in report.remarks:
        say(console, remark.text, STYLES[remark.level])
    if written.page:
        say(console, f"report {written.page}")
    if report.level == "bad":
        raise typer.Exit(ExitCode.FAILED)


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="station.toml, model.onnx or model.rtp")],
    shape: Annotated[
        list[str] | None,
        typer.Option(
            metavar="INPUT=SIZES", help="Shape of a model's input, where the file leaves it open: x=1,3,224,224"
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check station files and models: every problem with its line; what of a model runs, its size, what is refused."""
    from rich.console import Console

    from station.commands.checking import MODEL_SUFFIXES, parse_shapes

    console, errors = Console(), Console(stderr=True)
    try:
        shapes = parse_shapes(shape or [])
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--shape") from error
    found: list[dict[str, Any]] = []
    codes: set[int] = set()
    for file in files:
        try:
            with explained(errors):
                if file.suffix in MODEL_SUFFIXES:
                    found.append(_check_model(None if as_json else console, errors, file, shapes))
                else:
                    found.append(_check_station(None if as_json else console, errors, file))
        except typer.Exit as failed:
            codes.add(failed.exit_code)
    if as_json:
        print(json.dumps(found, indent=1, default=str))
    if not all(result["runs"] for result in found):
        codes.add(ExitCode.BAD_FILE)
    if codes:
        raise typer.Exit(min(codes))


def _check_station(console: Console | None, errors: Console, path: Path) -> dict[str, Any]:
    """Build all parts of a station; print what they are, or on no console give it for JSON."""
    from dataclasses import asdict

    from station.errors import StationFileError
    from station.file.reading import read_station
    from station.wiring.parts import build

    try:
        file = read_station(path)
        parts = build(file)
    except StationFileError as error:
        if console is not None:
            raise
        return {"file": str(path), "runs": False, "problems": [asdict(problem) for problem in error.problems]}
    if console is not None:
        print_problems(errors, file.warnings)
    counts = (("tasks", parts.tasks), ("models", parts.models), ("links", parts.links), ("tags", file.config.tags))
    models = {
        name: [", ".join(map(str, specs)) or "none" for specs in (model.inputs, model.outputs)]
        for name, model in parts.models.items()
    }
    if console is not None:
        say(console, f"{path}: good: " + ", ".join(f"{len(things)} {name}" for name, things in counts), "green")
        for name, ends in models.items():
            say(console, f"  model {name}: ({ends[0]}) -> ({ends[1]})")
    return {
        "file": str(path),
        "runs": True,
        "problems": [asdict(problem) for problem in file.warnings],
        **{name: len(things) for name, things in counts},
        "signatures": models,
    }


def _check_model(
    console: Console | None, errors: Console, path: Path, shapes: dict[str, tuple[int, ...]]
) -> dict[str, Any]:
    """Load a model; print what it is or what is refused, or on no console give it for JSON."""
    from station.commands.checking import check_model

    result = check_model(path, shapes)
    if console is not None and result.runs:
        say(console, f"{path}: runs", "green")
        for line in result.lines():
            say(console, line)
    elif console is not None and result.reasons:
        say(errors, f"{path}: {len(result.reasons)} of its parts cannot run here", "red")
        errors.print(result.table())
    elif console is not None:
        say(errors, result.error, "red")
    return result.to_json()


@app.command()
def status(station: StationOption = None, socket: SocketOption = None, as_json: JsonOption = False) -> None:
    """Show a running station."""
    from rich.console import Console

    console = Console()
    with explained(Console(stderr=True)):
        from station.running.control import fetch_status
        from station.show.live import draw

        snapshot = fetch_status(_socket(station, socket))
    if as_json:
        print(json.dumps(snapshot.to_json(), indent=1))
    else:
        console.print(draw(snapshot))


@app.command()
def update(
    slot: Annotated[str, typer.Argument(help="Which model: its name in the station file.")],
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The new model, .onnx or .rtp.")],
    station: StationOption = None,
    socket: SocketOption = None,
) -> None:
    """Replace a model of a running station. No cycle is missed; all tasks take it at the same tick."""
    from rich.console import Console

    with explained(Console(stderr=True)):
        from station.running.control import request_update

        updated = request_update(_socket(station, socket), slot, model)
    print(updated.message)


@app.command()
def stop(station: StationOption = None, socket: SocketOption = None) -> None:
    """Stop a running station: outputs safe, report written."""
    from rich.console import Console

    with explained(Console(stderr=True)):
        from station.running.control import request_stop

        request_stop(_socket(station, socket))
    print("stopping")


@app.command()
def doctor(
    seconds: Annotated[float, typer.Option(min=0, help="How long to measure wake-ups; 0: not at all.")] = 5.0,
    cpu: Annotated[int | None, typer.Option(min=0, help="The core for the task.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Tell how ready this machine is for real time, and the command that mends each shortcoming."""
    from rich.console import Console

    from station.machine.computer import Machine

    console = Console()
    machine = Machine(wanted_cpu=cpu)
    if cpu is not None and cpu not in machine.cores:
        raise typer.BadParameter(f"this machine has the cores {machine.cores}", param_hint="--cpu")
    with explained(Console(stderr=True)):
        from station.machine.doctor import diagnose

        diagnosis = diagnose(machine, seconds)
    if as_json:
        print(json.dumps(diagnosis.as_dict(), indent=1))
    else:
        _print_diagnosis(console, diagnosis)
    if diagnosis.level == "bad":
        raise typer.Exit(ExitCode.FAILED)


def _print_diagnosis(console: Console, diagnosis: Diagnosis) -> None:
    from rich.text import Text

    from station.show.picture import text_picture

    marks = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "bad": ("✗", "red")}
    for fact in diagnosis.facts:
        mark, style = marks[fact.level]
        line = Text.assemble(
            (f"{mark} ", style), (f"{fact.name:<20}", "bold"), fact.value, (f"  {fact.meaning}", "dim")
        )
        console.print(line, soft_wrap=True)
        if fact.fix:
            console.print(Text(f"    {fact.fix}", style="cyan"), soft_wrap=True)
    if diagnosis.wake_up:
        console.print(Text("\n" + text_picture(diagnosis.wake_up)), soft_wrap=True)
    console.print(Text("\n" + diagnosis.verdict, style="bold"))


@app.command()
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
) -> None:
    """Balance an unstable machine over Modbus, replace its network mid-run, pull its cable; check that all went well."""
    from rich.console import Console

    with explained(Console(stderr=True)):
        from station.demo.demo import BETTER, Options
        from station.demo.demo import run as play

        raise typer.Exit(play(Options(port, report, better or BETTER, plc.value if plc is not None else None)))


app.command()(bench)
app.command()(compile)
app.command()(inspect)
app.command()(quantize)
app.command()(keygen)
app.command()(sign)
app.command()(symbols)
app.add_typer(export, name="export")


@app.command()
def kernels() -> None:
    """Build this machine's native libraries now, with a progress bar, and show where they are."""
    from rich.console import Console

    with explained(Console(stderr=True)):
        import fieldbus.image.image
        import plc_bindings.calls.replay
        import rt_engine.run.native
        import scheduler.native
        from rt_native.library import cache_folder

        for library in (
            rt_engine.run.native.KERNELS,
            fieldbus.image.image.NATIVE,
            scheduler.native.NATIVE,
            plc_bindings.calls.replay.NATIVE,
        ):
            words = "ready" if library.is_built() else "built"
            paths = library.build().values()
            size = sum(path.stat().st_size for path in paths) / 1024
            print(f"{library.name:<10} {words}  {size:,.0f} KiB in {len(paths)} files  {library.target}")
        print(f"in {cache_folder()}")


@app.command()
def schema(
    markdown: Annotated[bool, typer.Option("--markdown", help="Tables for people, as in docs/station.md.")] = False,
) -> None:
    """Print the JSON schema of station.toml, for editors; or every key as a table."""
    from station.file.schema import reference_text, schema_text

    sys.stdout.write(reference_text() if markdown else schema_text())


def _socket(station: str | None, socket: Path | None) -> Path:
    """The control socket meant by the options: given, of a station's file or name, or of the only station there is."""
    from station.errors import NotRunningError
    from station.file.reading import read_name
    from station.running.control import only_socket, socket_path

    if socket is not None:
        return socket
    try:
        if station is None and not Path(DEFAULT_FILE).exists():
            return only_socket()
        station = station or DEFAULT_FILE
        return socket_path(read_name(Path(station)) if station.endswith(".toml") else station)
    except OSError as error:  # no folder for sockets can be made, so no station has one there
        raise NotRunningError(f"no station runs: {error}; is XDG_RUNTIME_DIR right?") from error
