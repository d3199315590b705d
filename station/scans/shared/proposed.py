"""The station file that a scan proposes: where it may go, by which command it was made, and how it is given."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import typer

from rt_native.files import make_folder
from rt_native.text import visible

ALL_INPUTS: Final = "Every tag is an input; what may be written is your decision."


def check_folder(path: Path | None, option: str) -> None:
    """The folder of the file that this option names, made if it is not there; raises `typer.BadParameter` if it cannot be."""
    if path is not None and (why := make_folder(path.parent)) is not None:
        raise typer.BadParameter(f"{path}: {why}", param_hint=option)


def check_output(output: Path | None) -> None:
    """Raises `typer.BadParameter` if the station file cannot be written, or is there already."""
    check_folder(output, "--output")
    if output is not None and output.exists():
        raise typer.BadParameter(f"{output} is there already; name another file", param_hint="--output")


def command_line() -> str:
    """By which this was called, for people."""
    return shlex.join(["rt-engine", *sys.argv[1:]])


def head_of(command: str, remark: str = ALL_INPUTS) -> tuple[str, ...]:
    """The first lines of the file: which command made it, what a reader has to know, the station."""
    return (
        f"# Made by: {visible(command)}",
        f"# {remark}",
        "",
        "[station]",
        'name = "scanned"',
        "",
    )


def text_of_file(lines: Iterable[str]) -> str:
    """The file of these lines."""
    return "\n".join(lines).rstrip() + "\n"


def give(text: str, output: Path | None) -> None:
    """Write the station file; without a name for it, print it. Raises `typer.BadParameter`: it cannot be written."""
    if output is None:
        sys.stdout.write("".join(visible(text, keep="\n")))
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(f"{output} cannot be written: {error.strerror}", param_hint="--output") from error


def next_step(output: Path) -> str:
    """What to do with it now."""
    return f"next: rt-engine check --connect {shlex.quote(str(output))}"
