"""The commands of `rt-engine`: one file each, found by being in this folder. What they share is in the folder `shared`.

A command's file has its name, holds a function of that name (or a `typer.Typer` with commands of its own), and says at
which place of `rt-engine --help` it stands:

    ORDER = 30

    def status(...) -> None:
        ...

Commands stand in the order of these numbers, each its own; those with commands of their own (`export`) come behind all
others, in the order of theirs.

A command imports what it needs when it runs, so that help is instant.
"""
