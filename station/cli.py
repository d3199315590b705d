"""The command line `rt-engine`: whatever is in `station.commands`.

Exit codes: 0 done; 1 it ran and something did not work; 2 wrong command line; 3 the station file or model cannot be
used; 4 no station answers, or one runs already; 5 the running station refused the update; 6 kernels are missing.
"""

from __future__ import annotations

import typer

from station import commands
from station.found import modules


def command_line() -> typer.Typer:
    """`rt-engine` with every command that is found, in the order that they say."""
    app = typer.Typer(
        help="Real-time neural networks for machine controllers: ONNX in, a deadline kept every cycle.",
        epilog="Exit codes: 0 done, 1 something did not work, 2 wrong command line, 3 station file or model cannot be "
        "used, 4 no station answers (or one runs already), 5 update refused, 6 kernels are missing.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for module in modules(commands.__name__, commands.__path__):
        own = module.__name__.rpartition(".")[2]
        name, command = own.replace("_", "-"), getattr(module, own)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(command)
    return app


app = command_line()


def main() -> None:
    """Entry point of `rt-engine`."""
    app()
