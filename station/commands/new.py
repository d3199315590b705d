"""The command `new`: a first station, which runs at once."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from station.commands.shared.explaining import explained, say
from station.commands.shared.options import BoundOption, ShapeOption, ValueOption, parse_binding

if TYPE_CHECKING:
    from rt_engine.binding import Binding
    from station.commands.shared.first_station import RealLink, Start

ORDER = 65


def new(
    target: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER or MODEL",
            help="Where to put it, made if it is not there; or a model, .onnx or .rtp, whose station goes to a folder of its name.",
        ),
    ] = Path("my-station"),
    controller: Annotated[
        str | None, typer.Option(metavar="TYPE", help="What controls: pid (by default), two-point or ramp.")
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Or a model, .onnx or .rtp: tags by its contract, or a tag for each of its tensors."
        ),
    ] = None,
    link: Annotated[
        str | None,
        typer.Option(
            metavar="TYPE or URL",
            help="The real device: modbus-tcp, modbus-rtu, ads or opcua, written as a comment; or where it is: modbus://HOST, "
            "ads://NETID@HOST, opc.tcp://HOST:4840, modbus-rtu:///dev/ttyUSB0.",
        ),
    ] = None,
    shape: ShapeOption = None,
    value: ValueOption = None,
    bound: BoundOption = None,
    into: Annotated[
        Path | None, typer.Option("--folder", metavar="FOLDER", help="Where to put the station of a MODEL.")
    ] = None,
) -> None:
    """Make a first station: station.toml and a simulated device. It passes `check` and runs at once.

    With a model that carries its contract (`rt-engine contract`), tags have its names, units and limits, the task its rate.
    """
    from rt_native.terminal import Terminal
    from station.commands.shared.first_station import station_text

    real = _real(link)
    folder, model = _places(target, model, into)
    binding = parse_binding(shape, value, bound)
    if binding.options and model is None:
        raise typer.BadParameter("shapes, values and bounds are a model's; give --model", param_hint="--shape")
    path, plant = folder / "station.toml", folder / "plant.py"
    if there := next((file for file in (path, plant) if file.exists()), None):
        other = "name another folder with --folder" if target == model else "name another folder"
        raise typer.BadParameter(f"{there} is there already; {other}", param_hint="FOLDER")
    with explained(Terminal(stderr=True)):
        start = _start(controller, model, folder, binding)
        name = re.sub(r"[^A-Za-z0-9_.-]", "-", folder.resolve().name)
        name = name if re.match(r"[A-Za-z_]", name) else f"station-{name}"
        text = station_text(name, start, real)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            plant.write_text(start.plant, encoding="utf-8")
        except OSError as error:
            raise typer.BadParameter(f"{folder} cannot be written: {error.strerror}", param_hint="FOLDER") from error
    run = f"rt-engine run {shlex.quote(str(path))}"
    if real is not None and real.keys:
        run = f"look at every address in {shlex.quote(str(path))}, then rt-engine check --connect {shlex.quote(str(path))}"
    say(Terminal(), f"{path}   the station\n{plant}   a device to try it with\n\nnext: {run}")


def _places(target: Path, model: Path | None, into: Path | None) -> tuple[Path, Path | None]:
    """(folder, model), whichever of them stands first."""
    if target.suffix not in (".onnx", ".rtp"):
        if into is not None:
            raise typer.BadParameter(f"the folder is {target} already", param_hint="--folder")
        return target, model
    if model is not None:
        raise typer.BadParameter(f"the model is {target} already", param_hint="--model")
    return into or Path(target.stem), target


def _real(link: str | None) -> RealLink | None:
    """The kind of the real device, and where it is."""
    from station.commands.shared.first_station import DRY_RUN, RealLink
    from station.links import link_tables, type_of

    kinds = {type_of(table): table for table in link_tables() if table.first != ("", "")}
    if link is None or link == DRY_RUN:
        return None
    if link in kinds:
        return RealLink(kinds[link])
    scheme, is_url, rest = link.partition("://")
    by_scheme = {table.scheme: table for table in kinds.values() if table.scheme}
    if not is_url or scheme not in by_scheme:
        urls = ", ".join(f"{name}://" for name in by_scheme)
        raise typer.BadParameter(f'"{link}" is none of {", ".join(kinds)}, {urls}, {DRY_RUN}', param_hint="--link")
    try:
        return RealLink(by_scheme[scheme], by_scheme[scheme].of_url(rest))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--link") from error


def _start(controller: str | None, model: Path | None, folder: Path, binding: Binding) -> Start:
    """What the options ask for."""
    from station.commands.shared.first_station import CONTROLLERS, start_with

    if model is None:
        if (wanted := controller or "pid") not in CONTROLLERS:
            raise typer.BadParameter(f'"{wanted}" is none of {", ".join(CONTROLLERS)}', param_hint="--controller")
        return CONTROLLERS[wanted]
    if controller is not None:
        raise typer.BadParameter("either a model or a controller", param_hint="--controller")
    import rt_engine
    from rt_engine.contract import read
    from station.commands.shared.contract_station import start_by_contract

    contract = read(model)
    binding = replace(binding, state=dict(contract.state) if contract is not None else {})
    loaded = rt_engine.load(model, **binding.options)
    file = os.path.relpath(model.resolve(), folder.resolve())
    try:
        if contract is not None and (contract.inputs or contract.outputs):
            return start_by_contract(loaded, contract, file, binding)
        return start_with(loaded, file, binding)
    except ValueError as error:
        raise typer.BadParameter(f"{model}: {error}", param_hint="--model") from error
