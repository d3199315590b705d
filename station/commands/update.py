"""The command `update`: new versions of models for a running station."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from station.commands.shared.explaining import explained, say
from station.commands.shared.options import SocketOption, StationOption, control_socket
from station.errors import ExitCode

if TYPE_CHECKING:
    from plc_bindings.data.changes import ChangeView
    from rt_native.terminal import Terminal

ORDER = 40
LOOK_S: Final = 0.5
MOST_SIGNATURE: Final = (64 << 10) + 1
"""Bytes; more is none, which the station says."""
_MODELS: Final = (".onnx", ".rtp")


def update(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="SLOT MODEL",
            help="Which model, by its name in the station file, and its new version, .onnx or .rtp; with --set: MODEL=SLOT ...",
        ),
    ],
    together: Annotated[
        bool,
        typer.Option("--set", help="Several models at once, one tick and one fate: --set a.onnx=arm b.onnx=gripper"),
    ] = False,
    shadow: Annotated[
        str | None,
        typer.Option(
            metavar="LENGTH",
            help='Computes beside the live one and is only compared: "10 min", "5000 cycles", none; else as the station file says.',
        ),
    ] = None,
    trial: Annotated[
        str | None,
        typer.Option(metavar="LENGTH", help="Live, with the old one standing by; the same forms."),
    ] = None,
    commit: Annotated[
        str | None,
        typer.Option(metavar="auto|manual", help="When the trial is over: it stays; or is taken back without a word."),
    ] = None,
    signature: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Its .sig file, or bundle of model-signing: taken only if a key of the station made it.",
        ),
    ] = None,
    wait: Annotated[
        bool,
        typer.Option("--wait", help="Return when it is committed (exit code 0), or is not (5), and tell what happens."),
    ] = False,
    station: StationOption = None,
    socket: SocketOption = None,
) -> None:
    """Bring a new version of a model to a running station: through the gate, then live, or first in shadow and on trial."""
    from rt_native.terminal import Terminal

    files = _set(what) if together else _one(what)
    wishes = {key: value for key, value in (("shadow", shadow), ("trial", trial), ("commit", commit)) if value}
    if signature is not None and together:
        raise typer.BadParameter("is of one file; update the models one by one", param_hint="--signature")
    with explained(Terminal(stderr=True)):
        from station.running.asking import request_update

        if signature is not None:
            wishes["signature"] = _read(signature)
        place = control_socket(station, socket)
        with Terminal(stderr=True).status(f"the gate examines {', '.join(file.name for file in files.values())}"):
            updated = request_update(place, files, wishes)
        say(Terminal(), updated.message)
        if wait and not _stays(Terminal(), place, next(iter(files))):
            raise typer.Exit(ExitCode.REFUSED)


def _read(signature: Path) -> str:
    """In hex."""
    from plc_bindings.errors import SigningError
    from rt_native.files import open_file

    try:
        with open_file(signature) as file:
            return file.read(MOST_SIGNATURE).hex()
    except OSError as error:
        raise SigningError(f"{signature} cannot be read: {error.strerror}") from error


def _one(what: list[str]) -> dict[str, Path]:
    if len(what) != 2:
        raise typer.BadParameter("give a SLOT and a MODEL; several at once: --set a.onnx=arm b.onnx=gripper")
    return {what[0]: Path(what[1])}


def _set(what: list[str]) -> dict[str, Path]:
    """["a.onnx=arm", ...] -> slot -> file; SLOT=MODEL is understood too, where it is plain which is which."""
    found: dict[str, Path] = {}
    for pair in what:
        left, _, right = pair.rpartition("=")
        is_file = left.endswith(_MODELS), right.endswith(_MODELS)
        if not left or is_file[0] == is_file[1]:
            raise typer.BadParameter(f'"{pair}" must be MODEL=SLOT, like a.onnx=arm', param_hint="--set")
        file, slot = (left, right) if is_file[0] else (right, left)
        if slot in found:
            raise typer.BadParameter(f"slot {slot} is given twice", param_hint="--set")
        found[slot] = Path(file)
    return found


def _stays(console: Terminal, place: Path, slot: str) -> bool:
    """Wait for the end of a change, and tell each state; did it stay?"""
    from rt_engine.change import ChangeState
    from rt_native.terminal import Terminal
    from station.running.asking import fetch_status
    from station.show.changes import STATES, duration

    ended = (ChangeState.COMMITTED, ChangeState.REJECTED, ChangeState.ROLLED_BACK, ChangeState.NONE)
    told: ChangeView | None = None
    with Terminal(stderr=True).status("") as shown:
        while True:
            view = next((one for one in fetch_status(place).changes if one.slot == slot), None)
            if view is None:
                return False
            if told is not None and view.state != told.state:
                say(console, f"{view.file} is {STATES[view.state]}: {view.reason}")
            if view.state in ended:
                return bool(view.state == ChangeState.COMMITTED)
            left = f", {duration(view.left_ns)} left" if view.left_ns >= 0 else ""
            shown.update(f"{view.file} {STATES[view.state]}, {view.cycles:,} cycles{left}")
            told = view
            time.sleep(LOOK_S)
