"""The demo: an unstable machine, held by a neural network over Modbus, its model replaced, its cable pulled; checked.

What the station recorded of it is then run again, without both (`station.demo.recorded`).

    plant process  <--Modbus TCP-->  station process  <--control socket-->  this process
          ^------------------------ standard input ------------------------------'

This process starts the two others, tells the story (`station.demo.story`), and leaves behind, in one folder: the
station's report (HTML and JSON), the plant's own record as a picture, every claim with its numbers, the station file, and recordings.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console

import rt_engine
from rt_native.terminal import Terminal
from station.demo import checks, plc_story, recorded
from station.demo.acts import Record
from station.demo.axis import demo as axis_demo
from station.demo.checks import Check
from station.demo.facts import Answer, PlantView
from station.demo.processes import (
    DemoError,
    PlantProcess,
    StationProcess,
    free_port,
    new_store,
    plant_process,
    station_process,
)
from station.demo.protocols import PlcProtocol
from station.demo.screen import Screen
from station.demo.story import Networks, Story
from station.demo.trajectory import Moment, trajectory_svg
from station.errors import ExitCode
from station.running.places import socket_path

HERE: Final = Path(__file__).parent
DATA: Final = HERE / "data"
BETTER: Final = DATA / "policy-v2.onnx"
WRONG: Final = DATA / "policy-v3-bad.onnx"
PICTURE: Final = "trajectory.svg"
EXPECTED_S: Final = 42.0
RECORDED: Final = "recordings"
"""The name of the act about what was recorded, among those of `Story.play`."""
TOLERANCE_N: Final = 0.5
"""Of [models.policy.change] in station.toml."""
REFUSALS: Final = 3
MERGED: Final = " changes in "
"""What the diary says of events that came too quickly for a line each."""
STOPPED: Final = 130  # what shells say of a command that Ctrl-C ended


@dataclass(frozen=True, slots=True)
class Options:
    """`port`: of the plant, 0 for a free one; `report`: folder; `better`: the model of the hot update; `plc`: see there."""

    port: int = 0
    report: Path | None = None
    better: Path = BETTER
    acts: tuple[str, ...] = ()
    """Names of `Story.play`; none: all of them."""
    plc: PlcProtocol | None = None
    """What an external PLC program, which takes the place of the station's own tasks, speaks."""
    ethercat: bool = False
    """The other machine: an axis on a simulated EtherCAT bus."""


def networks_at_start(options: Options) -> tuple[Path, ...]:
    """What its station runs in its first cycle."""
    return (axis_demo.NETWORK,) if options.ethercat else (DATA / "policy-v1.onnx", DATA / "anomaly.onnx")


def compile_networks(options: Options) -> None:
    """Have ready what its station runs in its first cycle."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(rt_engine.load, networks_at_start(options)))
    if options.ethercat:
        axis_demo.build()


def run(options: Options = Options(), console: Console | None = None) -> int:
    """Play the demo; gives the exit code: 0, all that it shows did happen; 1, it did not; 130, it was stopped."""
    console = console or Terminal(highlight=False)
    screen = Screen(console, axis_demo.EXPECTED_S if options.ethercat else EXPECTED_S)
    try:
        with screen.live():
            return asyncio.run(_chosen(options, screen))
    except (KeyboardInterrupt, asyncio.CancelledError):
        screen.say("\nstopped; both processes have ended", "yellow")
        return STOPPED
    except (DemoError, OSError) as error:
        screen.say(f"\nthe demo cannot go on: {error}", "red")
        return ExitCode.FAILED


async def _chosen(options: Options, screen: Screen) -> int:
    if options.ethercat:
        return await _run_axis(options, screen)
    return await (_run(options, screen) if options.plc is None else _run_plc(options, options.plc, screen))


async def _run_axis(options: Options, screen: Screen) -> int:
    _end_like_ctrl_c()
    folder, warning = report_folder(options.report)
    story = await axis_demo.play(folder, warning, screen)
    write_record(folder, story.record)
    return _verdict(story.record, folder, folder / axis_demo.PICTURE, screen)


def _end_like_ctrl_c() -> None:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)


async def _run(options: Options, screen: Screen) -> int:
    _end_like_ctrl_c()
    folder, warning = report_folder(options.report)
    control = socket_path(f"demo-{os.getpid()}")
    async with AsyncExitStack() as stack:
        plant = await stack.enter_async_context(plant_process(options.port))
        screen.title("A machine that falls over without control, held by a neural network over Modbus TCP")
        if warning:
            screen.say(warning, "yellow")
        screen.say(f"plant   process {plant.pid}, its Modbus TCP server on 127.0.0.1:{plant.port}")
        page_port = free_port()
        file = station_file(folder, plant.port, page_port)
        station = await stack.enter_async_context(station_process(file, folder, control, folder / "station.log"))
        screen.say(f"page    http://127.0.0.1:{page_port}/ shows the station live, until it ends")
        story = Story(plant, station, screen, networks(options.better.absolute()))
        await story.play(options.acts)
        screen.act("The station ends")
        page = await _end(plant, station, story.record, folder, screen)
    if not options.acts or RECORDED in options.acts:
        await _look_into_recordings(folder, story.record, screen)
    write_record(folder, story.record)
    return _verdict(story.record, page or folder, folder / PICTURE, screen)


async def _look_into_recordings(folder: Path, record: Record, screen: Screen) -> None:
    """Run again what the station recorded, without it, and without the machine."""
    screen.act("What the networks did is run again, tried with another one, and explained, without station and machine")
    biased = networks().biased
    found = await asyncio.to_thread(recorded.look_into, folder, record.ticks, biased, TOLERANCE_N)
    for check in found.claims:
        screen.show(check)
    for line in found.words:
        screen.whole(line)
    record.claims += found.claims


def write_record(folder: Path, record: Record) -> None:
    """Every claim with its numbers."""
    (folder / "demo.json").write_text(json.dumps(asdict(record), indent=1), encoding="utf-8")


async def _run_plc(options: Options, protocol: PlcProtocol, screen: Screen) -> int:
    _end_like_ctrl_c()
    folder, warning = report_folder(options.report)
    control = socket_path(f"demo-{os.getpid()}")
    addresses = plc_story.Addresses.free()
    engine, file = addresses.engine(protocol), plc_story.station_file(folder, addresses)
    async with AsyncExitStack() as stack:
        plant = await stack.enter_async_context(plant_process(options.port))
        words = {PlcProtocol.ads: "ADS", PlcProtocol.modbus: "Modbus TCP"}[protocol]
        screen.title(f"A machine that falls over without control, held by a PLC that calls a network over {words}")
        if warning:
            screen.say(warning, "yellow")
        machine = f"127.0.0.1:{plant.port}"
        screen.say(f"plant   process {plant.pid}, its Modbus TCP server on {machine}")
        station = await stack.enter_async_context(station_process(file, folder, control, folder / "station.log"))
        screen.say(f"station process {station.pid}, its {words} server on {engine}")
        plc = await stack.enter_async_context(plc_story.plc_process(protocol, engine, machine, folder))
        screen.say(f"PLC     {plc_story.PROGRAM}")
        story = plc_story.PlcStory(plant, station, plc, screen, options.better.absolute(), WRONG)
        await story.play()
        screen.act("The station ends")
        screen.show(await plc_story.end(plant, station, story.record, folder, folder / PICTURE))
    return _verdict(story.record, folder, folder / PICTURE, screen)


def report_folder(wanted: Path | None) -> tuple[Path, str]:
    """The folder for all that the demo leaves: as wanted, by default a new one in ./reports; and a warning, or "".

    When it cannot be written, the demo goes on with a temporary one, and warns.
    """
    folder = wanted or Path("reports") / f"demo-{datetime.now():%Y%m%d-%H%M%S}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder.absolute(), ""
    except OSError as error:
        spare = Path(tempfile.mkdtemp(prefix="rt-engine-demo-"))
        return spare, f"{folder} cannot be written ({error.strerror}); the report goes to {spare}"


def networks(better: Path = BETTER) -> Networks:
    """The versions that come in the story."""
    bad = {name: DATA / f"policy-{name}.onnx" for name in ("degrees", "slow", "biased", "brittle")}
    return Networks(better, newer=DATA / "policy-v4.onnx", shape=WRONG, **bad)


def station_file(folder: Path, port: int, page_port: int) -> Path:
    """A copy of the demo's station.toml: real ports of plant and page, absolute paths of the models, a store of its own."""
    text = (HERE / "station.toml").read_text(encoding="utf-8")
    changes = {
        "port = 5020\n": f"port = {port}\n",
        "port = 8080\n": f"port = {page_port}\n",
        'file = "data/': f'file = "{DATA.as_posix()}/',
        'name = "demo"\n': f'name = "demo"\nstore = "{new_store(folder)}"\n',
    }
    for old, new in changes.items():
        assert old in text, f"station.toml of the demo must contain {old!r}"
        text = text.replace(old, new)
    file = folder / "station.toml"
    file.write_text(text, encoding="utf-8")
    return file


async def _end(
    plant: PlantProcess, station: StationProcess, record: Record, folder: Path, screen: Screen
) -> Path | None:
    """Stop the station, check how it ended, write down what the plant recorded and what was claimed; its report."""
    last = await station.status()
    memory_bytes = station.memory_bytes()
    answer = await station.stop()
    view = PlantView.of(await plant.ask("status"))
    closing = [checks.ended_safe(answer, tuple(view.commands.values())), _report_written(answer)]
    for check in closing:
        screen.show(check)
    record.claims += closing
    tasks = {task.name: task for task in last.tasks}
    record.numbers |= {
        "cycles": ", ".join(f"{name} {task.cycles:,}" for name, task in tasks.items()),
        "overruns": ", ".join(f"{name} {task.overruns:,}" for name, task in tasks.items()),
        "wake-up p50 / p99": ", ".join(
            f"{name} {task.wake_up.p50_ns / 1000:.0f} / {task.wake_up.p99_ns / 1000:.0f} us"
            for name, task in tasks.items()
        ),
        "Modbus round trip p50 / p99": ", ".join(
            f"{link.round_trip.p50_ns / 1e6:.2f} / {link.round_trip.p99_ns / 1e6:.2f} ms" for link in last.links
        ),
        "memory of the station process": "unknown" if memory_bytes is None else f"{memory_bytes / 2**20:.0f} MiB",
    }
    record.moments.append(Moment(view.time_s, "station ended"))
    picture = trajectory_svg(await plant.ask("history"), record.moments)
    (folder / PICTURE).write_text(picture, encoding="utf-8")
    return report_page(answer)


def _report_written(answer: Answer) -> Check:
    """The station's report lies where it says, and tells of what happened since the power was back."""
    claim = "its report tells of the power cut, the networks that were refused or taken back, and the lost link"
    page = report_page(answer)
    if page is None:
        return Check(claim, False, f"it wrote none; it said: {answer.text[-300:]}")
    events = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))["events"]
    missing = ", ".join(untold(events))
    return Check(claim, not missing, f"it does not tell of: {missing}" if missing else f"{len(events)} events in it")


def untold(events: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a report's events should tell and do not: changes of the model, a lost link, and its return after that."""
    story = [(event["kind"], event["good"], event["text"]) for event in events]
    bad = [text for kind, good, text in story if kind == "update" and not good]
    lost = [
        place
        for place, (kind, good, text) in enumerate(story)
        if kind == "link" and not good and ("-> down" in text or "up -> degraded" in text)
    ]
    told = {
        "the power cut": any("is rolled back: the station ended" in text for text in bad),
        "the refusals": sum(" refused: " in text for text in bad) >= REFUSALS,
        "the shadow": any("is rejected: in shadow" in text for text in bad),
        "the trial": any("is rolled back: on trial" in text for text in bad),
        "the lost link": bool(lost),
        "its return": any(
            kind == "link" and ((good and "-> up" in text) or MERGED in text)
            for kind, good, text in story[min(lost, default=0) :]
        ),
    }
    return [name for name, found in told.items() if not found]


def report_page(answer: Answer) -> Path | None:
    """The HTML page that a station says it wrote, when it is there."""
    found = re.findall(r"^report (.+\.html)$", answer.text, re.MULTILINE)
    return Path(found[-1]) if found and Path(found[-1]).is_file() else None


def _verdict(record: Record, report: Path, picture: Path, screen: Screen) -> int:
    screen.say("")
    for name, value in record.numbers.items():
        screen.say(f"{name}: {value}", "dim")
    screen.say("")
    failed = [check.claim for check in record.claims if not check.ok]
    if failed:
        screen.say(f"{len(failed)} of {len(record.claims)} claims did NOT come true: {'; '.join(failed)}", "bold red")
    else:
        screen.say(f"All {len(record.claims)} claims came true.", "bold green")
    screen.whole(f"report   {report}")
    screen.whole(f"picture  {picture}")
    return ExitCode.FAILED if failed else ExitCode.OK
