"""The commands `export ...`: what other programs take over, as files. They import what they need when they run."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from station.commands.shared.explaining import check_outputs, explained, say
from station.commands.shared.options import DEFAULT_FILE, BoundOption, ShapeOption, ValueOption, parse_binding

if TYPE_CHECKING:
    from rt_engine.binding import Binding

ORDER = 170
export = typer.Typer(help="Write files for PLC and C++ programs, and for Grafana.", no_args_is_help=True)

OutputOption = Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder; made if it is not there.")]


class Flavour(StrEnum):
    """Which Structured Text."""

    twincat = "twincat"
    portable = "portable"


ServerOption = Annotated[
    str | None,
    typer.Option("--server", metavar="NAME", help="Which of the station's servers the blocks call, if several fit."),
]


@export.command("st")
def structured_text(
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="STATION|MODEL", help="The station file, by default station.toml; with --inline a model, .onnx."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="DIR|FILE",
            help="Folder; made if it is not there. With --inline also a file, by its suffix; by default this folder.",
        ),
    ] = None,
    flavour: Annotated[
        Flavour, typer.Option(help="twincat: over ADS. portable: over Modbus, for any IEC 61131-3 compiler.")
    ] = Flavour.portable,
    inline: Annotated[
        bool,
        typer.Option("--inline", help="The whole model as one function block that calls nothing, for small models."),
    ] = False,
    name: Annotated[
        str | None,
        typer.Option(metavar="FB_NAME", help="With --inline: name of the block, by default FB_ and the model's."),
    ] = None,
    server: ServerOption = None,
    model: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this model; may be given several times.")
    ] = None,
    prefix: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="For several stations in one PLC program: in all names that are this station's own. What they share comes once, "
            "with --library.",
        ),
    ] = None,
    library: Annotated[
        bool, typer.Option("--library", help="What stations with a --prefix share, and nothing else: name no station.")
    ] = False,
    shape: ShapeOption = None,
    value: ValueOption = None,
    bound: BoundOption = None,
) -> None:
    """Structured Text for a PLC: blocks that call the models of a station, or with --inline a small model itself."""
    if library:
        _library(output, flavour, {"STATION": source, "--inline": inline, "--name": name, "--prefix": prefix})
        return
    source = source or (None if inline else Path(DEFAULT_FILE))
    if source is None:
        raise typer.BadParameter("name a model for --inline, .onnx", param_hint="MODEL")
    if inline and source.suffix == ".toml":
        raise typer.BadParameter(f"{source} is no model: --inline takes an .onnx")
    if not inline and source.suffix in (".onnx", ".rtp"):
        raise typer.BadParameter(
            f"{source} is a model: --inline makes a block of it; blocks that call a station need its file, station.toml"
        )
    if inline:
        for option, called in (("--server", server), ("--model", model), ("--prefix", prefix)):
            if called:
                raise typer.BadParameter("not with --inline, which calls no server", param_hint=option)
        _inline(source, output, flavour, name, parse_binding(shape, value, bound))
        return
    for words, given in (("--shape", shape), ("--value", value), ("--bound", bound)):
        if given:
            raise typer.BadParameter("it belongs to --inline; a station's file has its own", param_hint=words)
    if output is None:
        raise typer.BadParameter("name a folder for the files", param_hint="--output")
    if name is not None:
        raise typer.BadParameter("it belongs to --inline", param_hint="--name")
    from rt_native.terminal import Terminal

    with explained(Terminal(stderr=True)):
        from plc_bindings.st.write import write
        from station.commands.shared.exporting import structured_text_files, unreachable

        texts = structured_text_files(source, flavour.value, server, model or (), prefix or "")
        try:
            paths = write(texts, output)
        except OSError as error:
            raise typer.BadParameter(f"{error}; choose another folder", param_hint="--output") from error
        for path in paths:
            say(Terminal(), str(path))
        if remark := unreachable(source, flavour.value, server):
            say(Terminal(stderr=True), remark, "yellow")


def _library(output: Path | None, flavour: Flavour, others: Mapping[str, object]) -> None:
    for option, given in others.items():
        if given:
            raise typer.BadParameter("not with --library, which is the same for all stations", param_hint=option)
    if output is None:
        raise typer.BadParameter("name a folder for the files", param_hint="--output")
    from plc_bindings.st.write import library_files, write
    from rt_native.terminal import Terminal

    try:
        paths = write(library_files(flavour.value), output)
    except OSError as error:
        raise typer.BadParameter(f"{error}; choose another folder", param_hint="--output") from error
    for path in paths:
        say(Terminal(), str(path))


def _inline(source: Path, output: Path | None, flavour: Flavour, name: str | None, binding: Binding) -> None:
    from rt_native.terminal import Terminal

    folder = output if output is not None and (output.is_dir() or not output.suffix) else None
    check_outputs(source, files={"--output": None if folder else output})
    with explained(Terminal(stderr=True)):
        from plc_bindings.st.inline import inline_block
        from plc_bindings.st.write import write

        block = inline_block(source, flavour.value, name, binding)
        file, text = block.file
        folder, file = (folder, file) if folder or output is None else (output.parent, output.name)
        try:
            (path,) = write({file: text}, folder or Path())
        except OSError as error:
            raise typer.BadParameter(f"{error}; choose another place", param_hint="--output") from error
        say(Terminal(), f"{path}: {block.name}, {block.summary}", "green")
        for note in block.notes:
            say(Terminal(), f"  note: {note}")


@export.command("c")
def c_project(
    output: OutputOption,
    level: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LEVEL",
            help="Processors to build for: x86-64-v2 (SSE4.2), x86-64-v2-exact (the same, bits as with FMA), x86-64-v3 (AVX2), "
            "x86-64-v4 (AVX-512), aarch64; with dot products: x86-64-v3-vnni, x86-64-v4-vnni, aarch64-dotprod; native (this "
            "one). May be repeated; by default that of the kernels that run here.",
        ),
    ] = None,
    model: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Keep only the kernels that this model needs (.rtp or .onnx), and put it in. May be repeated.",
        ),
    ] = None,
    shape: ShapeOption = None,
    value: ValueOption = None,
    bound: BoundOption = None,
) -> None:
    """Everything for a C or C++ program: header, sources, kernels, CMake file, example. No Python in it."""
    from rt_native.terminal import Terminal

    binding = parse_binding(shape, value, bound)
    if binding.options and not model:
        raise typer.BadParameter("it belongs to --model", param_hint="--shape")
    with explained(Terminal(stderr=True)):
        import rt_engine
        from plc_bindings.c.export import export as export_c
        from plc_bindings.c.export import kernels, running
        from rt_native.errors import UnsupportedCpu
        from rt_native.levels import NATIVE
        from rt_native.levels import level as level_of
        from rt_native.target import native

        try:
            named = [native() if name == NATIVE else level_of(name) for name in dict.fromkeys(level or ())]
        except UnsupportedCpu as error:
            raise typer.BadParameter(str(error), param_hint="--level") from error
        models = {path.stem: rt_engine.load(path, **binding.options) for path in model or []}
        programs = {stem: loaded.program for stem, loaded in models.items()}
        if len(programs) < len(model or []):
            raise typer.BadParameter("two models have the same name", param_hint="--model")
        wanted = {name for program in programs.values() for name in program.kernels} if programs else None
        made = [kernels(entry, wanted) for entry in named or [running()]]
        try:
            files = export_c(output, made, programs)
        except OSError as error:
            raise typer.BadParameter(f"{error}; choose another folder", param_hint="--output") from error
        for stem, loaded in models.items():
            for note in loaded.notes:
                say(Terminal(), f"{stem}: note: {note}")
        for one in made:
            say(Terminal(), f"{one.level.name}: {one.count} kernels, {len(one.archive):,} bytes", "green")
        say(Terminal(), f"{output}: {len(files)} files; build: cmake -S {output} -B BUILD && cmake --build BUILD")


@export.command("grafana")
def grafana(
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="FILE", help="The dashboard; its folder is made if it is not there."),
    ] = Path("rt-engine.grafana.json"),
) -> None:
    """A dashboard for Grafana, on what stations with a page tell Prometheus (`GET /metrics`)."""
    from rt_native.terminal import Terminal

    check_outputs(files={"--output": output})
    with explained(Terminal(stderr=True)):
        from station.page.dashboard import text

        try:
            output.write_text(text(), encoding="utf-8")
        except OSError as error:
            raise typer.BadParameter(f"{error}; choose another place", param_hint="--output") from error
        say(Terminal(), f"{output}: Grafana, Dashboards, New, Import")
