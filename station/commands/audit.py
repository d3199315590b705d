"""The commands `audit ...`: what was changed in a station, by whom, and whether somebody meddled with the log of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from rt_native.text import print_json
from station.commands.shared.explaining import check_outputs, explained, say
from station.commands.shared.options import DEFAULT_FILE, JsonOption
from station.errors import ExitCode

ORDER = 47
LogArgument = Annotated[
    Path, typer.Argument(metavar="STATION|FILE", help="The station file, or a file of its audit log.")
]
audit = typer.Typer(help="Verify or export the log of what was changed.", no_args_is_help=True)


@audit.callback()
def _only() -> None:
    """Verify or export the log of what was changed."""


@audit.command()
def verify(
    log: LogArgument = Path(DEFAULT_FILE),
    head: Annotated[
        str,
        typer.Option(metavar="HASH", help="A head that was shown before: tells whether lines behind it were cut off."),
    ] = "",
    json: JsonOption = False,
) -> None:
    """Tell whether each line is as it was written. Exit code 1 names the first that was changed, removed, inserted or moved."""
    from rt_native.terminal import Terminal

    with explained(Terminal(stderr=True)), _readable():
        from plc_bindings.security.chain import files
        from plc_bindings.security.verifying import verify as verify_log
        from station.show.audit import to_json, words

        path = _log(log)
        if head and not files(path):
            raise typer.BadParameter(f"there is no {path}", param_hint="STATION|FILE")
        found = verify_log(path, head)
        if json:
            print_json(to_json(path, found))
        else:
            console = Terminal()
            for text, is_good in words(path, found):
                say(console, text, "" if is_good else "red")
    if not found.is_whole:
        raise typer.Exit(ExitCode.FAILED)


@audit.command()
def export(
    log: LogArgument = Path(DEFAULT_FILE),
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it there; left out: print it.")] = None,
) -> None:
    """Write all changes as CSV, oldest first. Exit code 1: somebody meddled with them."""
    from rt_native.terminal import Terminal

    check_outputs(log, files={"--csv": csv})
    console, errors = Terminal(), Terminal(stderr=True)
    with explained(errors), _readable():
        from plc_bindings.security.chain import lines
        from plc_bindings.security.verifying import verified
        from station.show.audit import to_csv, words

        path = _log(log)
        rows = lines(path)
        text, found = to_csv(rows), verified(rows)
        if csv is None:
            sys.stdout.write(text)
        else:
            csv.write_text(text, encoding="utf-8", newline="")
            say(console, f"{len(rows)} lines written to {csv}")
        for line, is_good in words(path, found):
            if not is_good:
                say(errors, line, "red")
    if not found.is_whole:
        raise typer.Exit(ExitCode.FAILED)


@contextmanager
def _readable() -> Iterator[None]:
    """A file that cannot be read is a wrong argument."""
    try:
        yield
    except OSError as error:
        raise typer.BadParameter(f"{error.filename}: {error.strerror}", param_hint="STATION|FILE") from error


def _log(path: Path) -> Path:
    """The log of changes of a station, or the one that a file belongs to."""
    from plc_bindings.security.audit import changes_of
    from plc_bindings.security.chain import files
    from station.file.reading import read_audit
    from station.show.audit import log_at

    if path.suffix == ".toml":
        return changes_of(read_audit(path))
    found = log_at(path)
    if not files(found):
        raise typer.BadParameter(f"there is no {found}", param_hint="STATION|FILE")
    return found
