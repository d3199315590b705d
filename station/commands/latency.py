"""The command `latency`: how late this computer wakes and answers, under loads, and why; for minutes or days."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from station.commands.shared.explaining import check_outputs, explained, say
from station.commands.shared.options import BoundOption, ShapeOption, ValueOption, parse_binding
from station.errors import ExitCode

if TYPE_CHECKING:
    from rt_native.terminal import Terminal
    from station.latency.measure import Measurement, Plan
    from station.latency.result import Result
    from station.machine.computer import Computer

ORDER = 62
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STYLES = {"ok": "green", "warn": "yellow", "bad": "red"}
MOST_HOURS = 168.0
NO_CYCLICTEST = "cyclictest is not installed, so there is nothing to compare wake-ups with: apt-get install rt-tests"
NO_CORE = (
    "cyclictest had no turn: no task of the station has a core of its own (`cpu`), so there is no same place for it"
)


def latency(
    station: Annotated[
        Path | None,
        typer.Argument(
            metavar="[STATION]", help="A station file: its tasks, without its devices. None: an empty task."
        ),
    ] = None,
    model: Annotated[
        list[Path] | None,
        typer.Option(
            "--model", metavar="MODEL", help="A model instead, .onnx or .rtp. Repeat it: each has turns of its own."
        ),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.05, max=60 * MOST_HOURS, help="How long; 10 by default.")
    ] = None,
    hours: Annotated[float | None, typer.Option(min=0.01, max=MOST_HOURS, help="Or so many hours: 24.")] = None,
    cycle: Annotated[str, typer.Option(metavar="TIME", help="Cycle of a model or of the empty task.")] = "1 ms",
    cpu: Annotated[
        int | None, typer.Option(min=0, help="The core; by default the best, and every core for the empty task.")
    ] = None,
    load: Annotated[
        str,
        typer.Option(metavar="KINDS", help="Disturb with cpu, memory, io, network, timer (commas between), or all."),
    ] = "",
    shape: ShapeOption = None,
    value: ValueOption = None,
    bound: BoundOption = None,
    peer: Annotated[
        bool, typer.Option("--peer/--no-peer", help="In turns with cyclictest, where it is installed.")
    ] = True,
    gaps: Annotated[
        bool,
        typer.Option(
            "--gaps",
            help="In turns with the kernel's hwlat tracer, which stops cores to find what firmware takes: nothing else may run.",
        ),
    ] = False,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all figures as JSON; every minute what there is.")
    ] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page with pictures.")] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="A.json B.json", help="Measure nothing: what got worse from the first to the second?"),
    ] = None,
    show: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Measure nothing: tell, and draw, what a file has.")
    ] = None,
) -> None:
    """Measure wake-up, execution and reaction under loads, name the longest and its cause, and say which cycle time holds."""
    from rt_native.terminal import Terminal

    errors = Terminal(stderr=True)
    check_outputs(*(model or ()), *(compare or ()), station, show, files={"--json": json, "--html": html})
    with explained(errors):
        if compare is not None or show is not None:
            if station is not None or model or load or json is not None or (compare is not None and show is not None):
                raise typer.BadParameter(
                    "reads files and measures nothing: only --html goes with it",
                    param_hint="--compare" if show is None else "--show",
                )
            _read(Terminal(), errors, compare, show, html)
            return
        from station.machine.computer import Computer

        machine = Computer(wanted_cpu=cpu)
        if cpu is not None and cpu not in machine.allowed:
            raise typer.BadParameter(f"this process may use the cores {machine.allowed}", param_hint="--cpu")
        plan = _plan(
            machine,
            station,
            model or [],
            parse_binding(shape, value, bound),
            _seconds(minutes, hours),
            _duration(cycle),
            load,
            peer,
            gaps,
            json,
        )
        for note in dict.fromkeys(note for bench in plan.benches for note in bench.notes):
            say(errors, f"note: {note}")
        result = _measured(errors, plan)
        _tell(Terminal(), result)
        _keep(errors, result, json, html)
        if not any(subject.cycles for subject in result.subjects):
            say(errors, "no cycle was measured: the time was too short", "red")
            raise typer.Exit(ExitCode.FAILED)


def _read(
    console: Terminal, errors: Terminal, compare: tuple[Path, Path] | None, show: Path | None, html: Path | None
) -> None:
    """What files have, told and drawn."""
    from station.latency import compare as comparing
    from station.latency.result import LatencyFileError, read

    try:
        if show is not None:
            result = read(show)
            _tell(console, result)
            _keep(errors, result, None, html)
            return
        assert compare is not None
        found = comparing.compare(read(compare[0]), read(compare[1]))
    except LatencyFileError as error:
        raise typer.BadParameter(str(error), param_hint="--compare" if show is None else "--show") from error
    console.print(comparing.sheet(found))
    for words in found.unlike:
        say(console, f"not alike: {words}", "yellow")
    remark = comparing.summary(found)
    say(console, remark.text, STYLES[remark.level])
    if html is not None:
        html.write_text(comparing.to_html(found), encoding="utf-8")
        say(errors, f"page {html}")
    if found.worse:
        raise typer.Exit(ExitCode.FAILED)


def _seconds(minutes: float | None, hours: float | None) -> float:
    if minutes is not None and hours is not None:
        raise typer.BadParameter("say --minutes or --hours, not both", param_hint="--minutes")
    seconds = 3600 * hours if hours is not None else 60 * (10.0 if minutes is None else minutes)
    if seconds != seconds:  # NaN is below no limit and above none
        raise typer.BadParameter("is no number", param_hint="--minutes" if hours is None else "--hours")
    return seconds


def _duration(text: str) -> int:
    from scheduler.task import MIN_PERIOD_NS
    from station.terms.durations import format_duration, parse_duration

    try:
        ns = parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--cycle") from error
    if ns < MIN_PERIOD_NS:
        raise typer.BadParameter(f"a cycle is at least {format_duration(MIN_PERIOD_NS)}", param_hint="--cycle")
    return ns


def _plan(
    machine: Computer,
    station: Path | None,
    models: list[Path],
    binding: Any,
    seconds: float,
    cycle_ns: int,
    load: str,
    peer: bool,
    gaps: bool,
    json: Path | None,
) -> Plan:
    from station.commands.shared.model_check import MODEL_SUFFIXES
    from station.latency import benches
    from station.latency.loading import named
    from station.latency.measure import Plan
    from station.latency.turns import Cyclictest

    if station is not None and models:
        raise typer.BadParameter("name a station file, or models with --model, not both", param_hint="STATION")
    if station is not None and station.suffix in MODEL_SUFFIXES:
        raise typer.BadParameter(f"{station} is a model; write --model {station}", param_hint="STATION")
    try:
        loads = tuple(named(load)) if load else ()
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--load") from error
    if station is not None:
        made: tuple[benches.Bench, ...] = (benches.of_station(station),)
    elif models:
        if len({path.stem for path in models}) < len(models):
            raise typer.BadParameter("two models have the same name; rename one", param_hint="--model")
        made = tuple(benches.of_model(path, binding, machine.task_cpu, cycle_ns) for path in models)
    else:
        cpus = machine.allowed if machine.wanted_cpu is None else [machine.wanted_cpu]
        made = (benches.of_nothing(cpus, cycle_ns),)
    tasks = [task for bench in made for task in bench.tasks]
    like = tasks[0].period_ns, tasks[0].priority  # cyclictest has one of each; others are no comparison
    cpus = sorted({t.cpu for t in tasks if t.cpu is not None and (t.period_ns, t.priority) == like})
    cyclictest = Cyclictest.found(cpus, tasks[0].period_ns, tasks[0].priority) if peer and cpus else None
    no_peer = "" if cyclictest or not peer else NO_CORE if not cpus else NO_CYCLICTEST
    title = station.name if station is not None else ", ".join(path.name for path in models) or "an empty task"
    return Plan(made, seconds, loads, cyclictest, no_peer, json, machine, title, gaps)


def _measured(errors: Terminal, plan: Plan) -> Result:
    """With a line that says how far it is; Ctrl-C, SIGTERM and SIGHUP end it, and keep what there is."""
    from station.commands.shared.measuring import Shown
    from station.latency.measure import Measurement

    shown = Shown(errors, plan.seconds)
    measurement = Measurement(plan, shown.show)
    with shown, _stopped_by_signals(measurement):
        return measurement.run()


@contextmanager
def _stopped_by_signals(measurement: Measurement) -> Iterator[None]:
    is_nohup = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    asked = [number for number in STOP_SIGNALS if not (is_nohup and number == signal.SIGHUP)]
    before = {number: signal.signal(number, lambda *_: measurement.request_stop()) for number in asked}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell(console: Terminal, result: Result) -> None:
    from station.latency.findings import lines, sheet

    console.print(sheet(result))
    for line in lines(result):
        say(console, line.text, STYLES.get(line.level, ""))


def _keep(errors: Terminal, result: Result, json: Path | None, html: Path | None) -> None:
    from station.latency.result import write

    if json is not None:
        write(result, json)
        say(errors, f"figures {json}")
    if html is not None:
        from station.latency.page import to_html

        html.write_text(to_html(result), encoding="utf-8")
        say(errors, f"page {html}")
