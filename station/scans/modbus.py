"""The command `scan modbus`: the units of a Modbus device, what of them can be read, and where a value lies.

WHERE -> a way to it, its units -> their tables -> places of a value, narrowed while it changes -> a station file
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from station.scans.shared.proposed import check_folder, check_output, command_line, give, next_step

if TYPE_CHECKING:
    from fieldbus.modbus.scan.asking import Asker
    from rt_native.terminal import Terminal
    from station.scans.shared.modbus_results import Device, Settings
    from station.scans.shared.modbus_search import Sought, Wish
    from station.scans.shared.modbus_target import Target

ORDER = 10
SHARED_PAUSE_S = 0.05
"""Between questions to a device that a station asks meanwhile."""


def modbus(
    where: Annotated[
        str, typer.Argument(metavar="HOST[:PORT]|SERIAL", help="The device: 192.168.10.5, plc:1502, /dev/ttyUSB0.")
    ],
    value: Annotated[
        str | None, typer.Option(metavar="NUMBER", help="A value that the device shows now: find where it lies.")
    ] = None,
    unit: Annotated[str, typer.Option(metavar="UNIT", help="The value's unit, such as degC.")] = "",
    tolerance: Annotated[
        float | None,
        typer.Option(min=0, help="How far from the value; by default half its last digit, or a thousandth."),
    ] = None,
    name: Annotated[str, typer.Option(metavar="TAG", help="What to call the value's tag.")] = "value",
    again: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keep the places here; a run that finds them asks only these for --value."),
    ] = None,
    units: Annotated[str, typer.Option(metavar="LIST", help="Unit numbers: 1-10 or 1,5,17; by default 1-247.")] = "",
    addresses: Annotated[
        str, typer.Option(metavar="FROM-TO", help="Look only there: 0-999; by default everywhere.")
    ] = "",
    baud: Annotated[str, typer.Option(metavar="LIST", help="Serial: baud rates to try.")] = "19200,9600",
    parity: Annotated[str, typer.Option(metavar="LIST", help="Serial: parities to try, of N, E, O.")] = "E,N",
    stopbits: Annotated[int, typer.Option(min=1, max=2, help="Serial: stop bits.")] = 1,
    timeout: Annotated[
        str,
        typer.Option(metavar="TIME", help="For a first answer; by default 500 ms, serial 200 ms."),
    ] = "",
    pause: Annotated[
        str,
        typer.Option(metavar="TIME", help="Between two questions; by default 1 ms, and more where a device needs it."),
    ] = "",
    shared: Annotated[
        bool, typer.Option("--shared", help="Also while a running station, or another master, talks to the device.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="The station file; by default it is printed.")
    ] = None,
) -> None:
    """Find units and readable registers of a Modbus device, and with --value where a value lies. It writes nothing.

    Tables and progress go to the screen, a station file with links and tags to the output. Ctrl-C ends the search early.
    """
    from rt_native.terminal import Terminal
    from station.scans.shared.modbus_proposal import proposal
    from station.scans.shared.modbus_search import connected
    from station.scans.shared.modbus_target import Serial, refuse_if_held
    from station.scans.shared.progress import progress

    target = _target(where)
    usual = "200 ms" if isinstance(target, Serial) else "500 ms"
    wish = _wish(units, addresses, (baud, parity, stopbits), timeout or usual, pause, shared)
    sought = _sought(value, tolerance, unit)
    _check_places(name, again, output, sought)
    if not shared:
        refuse_if_held(target)
    errors = Terminal(stderr=True)
    with progress(errors) as (tell, quiet):
        known = _kept(again, target)
        if known is not None:
            wish = _for_kept(wish, known)
        with connected(target, wish, tell) as (asker, found_units, settings):
            from station.scans.shared.modbus_search import explored

            device = known or explored(target, wish, asker, found_units, settings, tell)
            quiet()
            if known is None:
                _show(errors, device, asker)
            if sought is not None:
                device = _located(errors, device, asker, sought, value or "", is_first=known is None)
    if again is not None and device.hits:
        from station.scans.shared.modbus_kept import keep

        keep(device, again)
    give(proposal(device, command_line(), name, unit), output)
    _next(errors, device, sought, again, output)


def _target(where: str) -> Target:
    from station.scans.shared.modbus_target import target_of

    try:
        return target_of(where)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="WHERE") from error


def _wish(units: str, addresses: str, line: tuple[str, str, int], timeout: str, pause: str, shared: bool) -> Wish:
    from station.scans.shared.modbus_search import Wish

    numbers = _numbers(units, 0, 255, "--units")
    within = _numbers(addresses, 0, 65535, "--addresses")
    default = SHARED_PAUSE_S if shared else 0.001
    wish = Wish(
        settings=_settings(*line),
        timeout_s=_seconds(timeout, "--timeout"),
        pause_s=_seconds(pause, "--pause") if pause else default,
        is_shared=shared,
    )
    from dataclasses import replace

    if numbers:
        wish = replace(wish, units=numbers)
    return replace(wish, within=range(min(within), max(within) + 1)) if within else wish


def _numbers(text: str, least: int, most: int, option: str) -> list[int]:
    """`1-10` or `1,5,17`."""
    found: list[int] = []
    for part in filter(None, text.replace(" ", "").split(",")):
        match = re.fullmatch(r"(\d{1,6})(?:(?:-|\.\.)(\d{1,6}))?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not least <= first <= last <= most:
            raise typer.BadParameter(
                f'"{part}": write numbers from {least} to {most}, 1-10 or 1,5,17', param_hint=option
            )
        found += range(first, last + 1)
    return list(dict.fromkeys(found))


def _settings(baud: str, parity: str, stopbits: int) -> list[Settings]:
    """Each baud rate with each parity."""
    bauds = _numbers(baud, 300, 921600, "--baud")
    parities = [p.strip().upper() for p in parity.split(",") if p.strip()]
    if not parities or any(p not in ("N", "E", "O") for p in parities):
        raise typer.BadParameter(f'"{parity}": write N, E or O, or several: N,E', param_hint="--parity")
    return [(rate, p, stopbits) for rate in bauds for p in parities]


def _seconds(text: str, option: str) -> float:
    from station.terms.durations import parse_duration

    try:
        return parse_duration(text) / 1e9
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def _sought(value: str | None, tolerance: float | None, unit: str) -> Sought | None:
    import math

    from fieldbus.modbus.scan.values import tolerance_of
    from station.scans.shared.modbus_search import Sought

    if value is None:
        return None
    try:
        number, usual = float(value), tolerance_of(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise typer.BadParameter(f'"{value}" is no number; write it as the device shows it, 21.5', param_hint="--value")
    return Sought(number, usual if tolerance is None else tolerance, unit)


def _check_places(name: str, again: Path | None, output: Path | None, sought: Sought | None) -> None:
    from station.scans.shared.modbus_proposal import is_name

    if not is_name(name):
        raise typer.BadParameter(f'"{name}" is no name of a tag: letters, digits, _', param_hint="--name")
    if again is not None and sought is None:
        raise typer.BadParameter("it keeps where a value lies; give --value, too", param_hint="--again")
    check_folder(again, "--again")
    check_output(output)


def _kept(again: Path | None, target: Target) -> Device | None:
    """Where the value may lie, from an earlier run."""
    from station.scans.shared.modbus_kept import kept

    return kept(again, target) if again is not None and again.exists() else None


def _for_kept(wish: Wish, known: Device) -> Wish:
    from dataclasses import replace

    settings: Sequence[Settings] = [known.settings] if known.settings else wish.settings
    pause_s = max(wish.pause_s, known.manners.pause_s)
    return replace(wish, units=[unit.number for unit in known.units], settings=settings, pause_s=pause_s)


def _show(errors: Terminal, device: Device, asker: Asker) -> None:
    from station.errors import ScanError
    from station.scans.shared.modbus_shown import remarks, units_sheet

    errors.print(units_sheet(device))
    for remark in remarks(device):
        _say(errors, f"  {remark}")
    _say(errors, f"  {asker.asked:,} questions, nothing was written\n", "dim")
    if not any(unit.readable for unit in device.units):
        raise ScanError(
            f"{device.target} answers, but nothing can be read where it was asked: does --addresses name another place?"
        )


def _located(errors: Terminal, device: Device, asker: Asker, sought: Sought, text: str, is_first: bool) -> Device:
    """Where the value lies; on a terminal it is asked for again until one place is left."""
    from dataclasses import replace

    from station.scans.shared.modbus_search import narrowed, searched
    from station.scans.shared.modbus_shown import hits_sheet

    device = searched(device, sought) if is_first else narrowed(device, asker, sought, lambda text: None)
    while True:
        if device.hits:
            errors.print(hits_sheet(device, f"{text} {sought.unit}".rstrip()))
        if len(device.hits) < 2 or not _is_talking(errors):
            return device
        _say(
            errors,
            f"{len(device.hits)} places have it. Let it change, wait until it stands still, and type what it is then.",
        )
        text = _typed(errors)
        now = _number(text)
        if now is None:
            return device
        sought = replace(sought, value=now[0], tolerance=max(sought.tolerance, now[1]))
        left = narrowed(device, asker, sought, lambda text: None)
        if left.hits:
            device = left
        else:
            _say(errors, f"None of these places has {text} now; was it still moving?", "yellow")


def _typed(errors: Terminal) -> str:
    """What a person types, or nothing."""
    errors.print("new value (Enter: no more): ", end="", highlight=False, markup=False)
    try:
        return input().strip()
    except EOFError:
        return ""


def _number(text: str) -> tuple[float, float] | None:
    """(a number, how exactly it was typed)."""
    from fieldbus.modbus.scan.values import tolerance_of

    try:
        return float(text), tolerance_of(text)
    except ValueError:
        return None


def _is_talking(errors: Terminal) -> bool:
    """Is there somebody to ask?"""
    return errors.is_terminal and sys.stdin.isatty()


def _next(errors: Terminal, device: Device, sought: Sought | None, again: Path | None, output: Path | None) -> None:
    """What to do now."""
    where = shlex.quote(str(device.target))
    if sought is not None and not device.hits:
        _say(errors, f"No place has {sought.value:g} within {sought.tolerance:g}.", "yellow")
        _say(errors, "next: is it another number inside (--tolerance, a unit, a scale of its own)? Did it stand still?")
    elif len(device.hits) > 1 and again is not None:
        word = shlex.quote(str(again))
        _say(errors, f"{len(device.hits)} places are kept in {word}.")
        _say(errors, f"next: let it change, then rt-engine scan modbus {where} --again {word} --value NEW")
    elif output is not None:
        _say(errors, f"{output}   links and tags, to go on with")
        _say(errors, next_step(output))
    elif sought is None:
        _say(
            errors,
            f"next: where is it? rt-engine scan modbus {where} --value 21.5 --unit degC, with what the device shows",
        )


def _say(errors: Terminal, text: str, style: str = "") -> None:
    errors.print(text, style=style, soft_wrap=True, highlight=False, markup=False)
