"""The command line `rt-engine`: whatever is in `station.commands`.

Exit codes: 0 done; 1 it ran and something did not work; 2 wrong command line; 3 the station file or model cannot be
used; 4 no station answers, or one runs already; 5 the running station refused the update; 6 kernels are missing.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from rt_native import version
from rt_native.found import modules
from rt_native.text import visible
from station import commands
from station.commands.run import PROCESS


class _Commands(TyperGroup):
    """The commands; a message about a wrong command line shows what was typed without what would steer a terminal."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            if hasattr(error, "message"):  # those of a wrong command line
                error.message = visible(str(error.message), keep="\n")
            raise


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rt-engine {version.TEXT}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Options that need no command."""


def _modules(word: str) -> list[ModuleType]:
    names = {
        module.name.replace("_", "-"): module.name for module in iter_modules(commands.__path__) if not module.ispkg
    }
    if word in names:
        return [import_module(f"{commands.__name__}.{names[word]}")]
    return modules(commands.__name__, commands.__path__)


def command_line(word: str = "") -> typer.Typer:
    """`rt-engine` with every command that is found, in the order that they say; with one alone where `word` is its name.

    To import and describe all takes a seventh of a second, of each start.
    """
    app = typer.Typer(
        cls=_Commands,
        help="Real-time neural networks for machine controllers: ONNX in, a deadline kept every cycle.",
        epilog="Exit codes: 0 done, 1 something did not work, 2 wrong command line, 3 station file or model cannot be "
        "used, 4 no station answers (or one runs already), 5 update refused, 6 kernels are missing.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(help=app.info.help, epilog=app.info.epilog)(_options)
    for module in _modules(word):
        own = module.__name__.rpartition(".")[2]
        name, command = own.replace("_", "-"), getattr(module, own)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(command)
    return app


if TYPE_CHECKING:
    app: typer.Typer
    """All of it."""
else:

    def __getattr__(name: str) -> typer.Typer:
        if name != "app":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = command_line()
        return globals()[name]


def main() -> None:
    """Entry point of `rt-engine`. What a terminal's charset does not have is shown as an escape, and ends nothing.

    A signal that comes while the process goes changes its exit code no more.
    """
    if sys.getfilesystemencoding() != "utf-8":
        _again_in_utf8()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        command_line(*sys.argv[1:2])(obj=PROCESS)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)


def _again_in_utf8() -> NoReturn:
    """Begin anew in Python's UTF-8 mode: the file names that a station file gives are UTF-8, whatever the locale."""
    os.environ.setdefault("PYTHONIOENCODING", f"{sys.stdout.encoding}:backslashreplace")
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])
