"""The command `schema`: what a station file may say, for editors and for people."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

ORDER = 160


def schema(
    markdown: Annotated[bool, typer.Option("--markdown", help="Tables for people, as in docs/station.md.")] = False,
) -> None:
    """Print the JSON schema of station.toml, for editors; or every key as a table."""
    from station.file.schema import reference_text, schema_text

    sys.stdout.write(reference_text() if markdown else schema_text())
