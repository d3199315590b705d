"""The commands `fleet ...`: which version runs where, and a new one brought to many stations in waves (docs/rollout.md)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from rt_native.text import print_json
from station.commands.shared.explaining import explained, say
from station.commands.shared.options import JsonOption
from station.errors import ExitCode

if TYPE_CHECKING:
    from plc_bindings.security.audit import AuditLog
    from station.fleet.file import FleetFile
    from station.fleet.known import Fleet
    from station.fleet.rollout import Plan
    from station.fleet.session import CommandOptions

ORDER = 54
T = TypeVar("T")
FileOption = Annotated[
    Path, typer.Option("--fleet", metavar="FILE", help="Where the broker and the commander's key are.")
]
SelectOption = Annotated[
    list[str] | None,
    typer.Option("--select", metavar="PATTERN", help='Stations by name: "press-*"; repeat it. Left out: all.'),
]
LabelOption = Annotated[
    list[str] | None, typer.Option("--label", metavar="KEY=VALUE", help="Only those with this label; repeat it: all.")
]
FLEET_FILE = Path("fleet.toml")
fleet = typer.Typer(help="Many stations: what runs where; a new version in waves.", no_args_is_help=True)


@fleet.command()
def status(
    file: FileOption = FLEET_FILE, select: SelectOption = None, label: LabelOption = None, json: JsonOption = False
) -> None:
    """Show what every station says that it runs, and the rollout."""
    from rt_native.terminal import Terminal

    labels = _labels(label)
    with explained(Terminal(stderr=True)):
        from station.fleet.rollout import selected
        from station.fleet.session import Session
        from station.fleet.show import plan_help, plan_words, stations_sheet, to_json

        async def look(options: CommandOptions, log: AuditLog) -> Fleet:
            async with Session(options, log) as session:
                return session.fleet

        found = _run(file, look)
        members = [one for one in found.members.values() if selected(one, select or (), labels)]
    console = Terminal()
    if json:
        print_json(to_json(found, members))
        return
    console.print(stations_sheet(members))
    if found.plan is not None:
        say(console, plan_words(found.plan))
    if found.present.online:
        say(console, f"a commander is at work: {found.present.who}")
        return
    help = plan_help(found.plan) if found.plan is not None else ""
    say(console, f"no commander is at work: {help}" if help else "no commander is at work")


@fleet.command()
def rollout(
    slot: Annotated[str, typer.Argument(metavar="SLOT", help="Which model, by its name in the station files.")],
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|oci://...", help="Its new version: a file with MODEL.sig beside it, or an artifact."
        ),
    ],
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source", metavar="URL", help="Where stations get the file; repeat it for others. Not for oci://."
        ),
    ] = None,
    select: SelectOption = None,
    label: LabelOption = None,
    waves: Annotated[
        str, typer.Option(metavar="SIZES", help="How many stations have it after each wave.")
    ] = "1,10%,all",
    soak: Annotated[
        str, typer.Option(metavar="TIME", help="So long all must be good before the next wave.")
    ] = "10 min",
    patience: Annotated[str, typer.Option(metavar="TIME", help="A station that takes longer is a doubt.")] = "30 min",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say which waves it would be, and order nothing.")] = False,
    file: FileOption = FLEET_FILE,
    json: JsonOption = False,
) -> None:
    """Bring a new version of a model to many stations; stop at the first doubt (exit code 5)."""
    from rt_native.terminal import Terminal

    labels = _labels(label)
    with explained(Terminal(stderr=True)):
        import asyncio

        from station.fleet.begin import plan_of
        from station.fleet.commander import begun, command
        from station.fleet.file import read_fleet

        read = read_fleet(file)
        wishes = {"select": tuple(select or ("*",)), "labels": labels, "waves": tuple(waves.split(","))}
        plan = asyncio.run(plan_of(read, slot, model, tuple(source or ()), wishes, soak, patience))
        if dry_run:
            _tell_waves(file, plan)
            return
        _carry_out(file, lambda options, log, shown: command(options, log, begun(plan), shown), json)


@fleet.command()
def pause(file: FileOption = FLEET_FILE) -> None:
    """Give no more orders; what is under way goes on."""
    _word(file, "pause")


@fleet.command()
def abort(
    file: FileOption = FLEET_FILE,
    back: Annotated[
        bool, typer.Option("--back", help="Stations that have it go back to what they ran before.")
    ] = False,
) -> None:
    """End the rollout."""
    _word(file, "abort", back)


@fleet.command()
def resume(file: FileOption = FLEET_FILE, json: JsonOption = False) -> None:
    """Go on with a rollout that was paused, was stopped by a doubt, or whose commander has died."""
    from rt_native.terminal import Terminal

    with explained(Terminal(stderr=True)):
        from station.fleet.commander import command, gone_on
        from station.fleet.words import say as say_word

        plan, is_obeyed = _run(file, lambda options, log: say_word(options, log, "resume"))
        if is_obeyed:
            _tell(plan)
            return
        _carry_out(file, lambda options, log, shown: command(options, log, gone_on, shown), json)


@fleet.command()
def trust(
    station: Annotated[str, typer.Argument(metavar="STATION", help="Its name.")], file: FileOption = FLEET_FILE
) -> None:
    """Believe the next key of a station's: after its folder was lost, or its computer replaced."""
    from rt_native.terminal import Terminal

    with explained(Terminal(stderr=True)):
        from station.fleet.words import trust as believe

        was_known = _run(file, lambda options, log: believe(options, log, station))
        say(Terminal(), f"the next key of {station} is believed" + ("" if was_known else "; none was known"))


@fleet.command()
def forget(
    station: Annotated[str, typer.Argument(metavar="STATION", help="Its name.")], file: FileOption = FLEET_FILE
) -> None:
    """Take a station that is gone for good, or has another name, out of the fleet: its order, its report and its key."""
    from rt_native.terminal import Terminal

    with explained(Terminal(stderr=True)):
        from station.fleet.words import forget as drop

        was_known = _run(file, lambda options, log: drop(options, log, station))
        say(Terminal(), f"{station} is forgotten" + ("" if was_known else "; nothing was known of it"))


def _word(file: Path, word: str, back: bool = False) -> None:
    """Say it; where no commander is at work, be one for so long."""
    from rt_native.terminal import Terminal

    with explained(Terminal(stderr=True)):
        from station.fleet.commander import command, gone_on
        from station.fleet.words import say as say_word

        plan, is_obeyed = _run(file, lambda options, log: say_word(options, log, word, back))
        if not is_obeyed:
            plan = _run(file, lambda options, log: command(options, log, gone_on, only_words=True))
        _tell(plan)


def _carry_out(file: Path, work: Callable[..., Coroutine[Any, Any, Plan]], as_json: bool) -> None:
    from rt_native.terminal import Terminal
    from station.fleet.rollout import RolloutState
    from station.fleet.show import Watched, plan_help

    errors = Terminal(stderr=True)
    with Watched(errors, lambda words: say(errors, words)) as watched:
        plan = _run(file, lambda options, log: work(options, log, watched))
    if as_json:
        print_json(plan.model_dump(mode="json", exclude_none=True))
    else:
        _tell(plan)
    if help := plan_help(plan):
        say(errors, help)
    if plan.state != RolloutState.DONE:
        raise typer.Exit(ExitCode.REFUSED)


def _tell(plan: Plan) -> None:
    from rt_native.terminal import Terminal
    from station.fleet.show import plan_words

    say(Terminal(), plan_words(plan))


def _tell_waves(file: Path, plan: Plan) -> None:
    from rt_native.terminal import Terminal
    from station.fleet.commander import check_selected
    from station.fleet.session import Session
    from station.fleet.show import waves_words

    async def look(options: CommandOptions, log: AuditLog) -> str:
        async with Session(options, log) as session:
            check_selected(plan, session.fleet)
            return waves_words(plan, session.fleet)

    say(Terminal(), _run(file, look))


def _run(file: Path, work: Callable[[CommandOptions, AuditLog], Coroutine[Any, Any, T]]) -> T:
    """What it gives, with the fleet file's options, and its audit log open meanwhile."""
    import asyncio

    from station.fleet.file import read_fleet

    read: FleetFile = read_fleet(file)
    options, log = read.options(), read.audit()
    log.start()
    try:
        with suppress(KeyboardInterrupt):
            return asyncio.run(work(options, log))
        raise typer.Exit(ExitCode.FAILED)
    finally:
        log.stop()


def _labels(words: list[str] | None) -> dict[str, str]:
    found = {}
    for word in words or ():
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise typer.BadParameter(f'"{word}" is no label; write KEY=VALUE', param_hint="--label")
        found[key] = value
    return found
