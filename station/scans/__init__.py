"""Kinds of scan, `rt-engine scan KIND`: one file each, found by being in this folder. What they share is in the folder `shared`.

A kind asks devices what they have, and proposes links and tags. It never writes to a device. Its file holds a function of
its name, a command for Typer, and says at which place of `rt-engine scan --help` it stands:

    ORDER = 30

    def echo(where: Annotated[str, typer.Argument(...)]) -> None:
        "Find what an echo device has."

It imports what it needs when it runs, so that help is instant, and raises a `StationError` for what a user can mend.
"""
