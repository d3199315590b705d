"""`[recorder]` of a station file: which cycles are kept, and where."""

from __future__ import annotations

from typing import Annotated, Final, Literal, get_args

from pydantic import BeforeValidator, Field, WithJsonSchema

from station.terms.lengths import SIZE_PATTERN, SPAN_PATTERN, parse_size, parse_size_or_duration
from station.terms.tables import Array, Duration, Table

Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema({"type": "string", "pattern": SIZE_PATTERN, "examples": ["2 GB", "100 MB"]}),
]
Piece = Annotated[
    tuple[int, int],
    BeforeValidator(parse_size_or_duration),
    WithJsonSchema({"type": "string", "pattern": f"{SPAN_PATTERN}|{SIZE_PATTERN}", "examples": ["10 min", "100 MB"]}),
]
Kind = Literal["fault", "overrun", "rollback", "monitor", "disagreement"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
"""What can be a trigger without a word about tags."""


class RecorderTable(Table):
    """`[recorder]`: what every cycle saw, thought and did goes to files, always or around triggers."""

    folder: str = Field(default="recordings", description="Where the files go, relative to this file.")
    tasks: Annotated[tuple[str, ...], Array] = Field(
        default=(), description="Which tasks are recorded; left out: all of them."
    )
    mode: Literal["trigger", "continuous"] = Field(
        default="trigger",
        description='"trigger" keeps what lies around triggers; "continuous" everything, and notes triggers.',
    )
    before_ns: Duration = Field(  # type: ignore[assignment]
        alias="before",
        default="10 s",
        description="So much before a trigger is kept; that long cycles stay in locked memory.",
    )
    after_ns: Duration = Field(alias="after", default="5 s", description="So much after a trigger is kept.")  # type: ignore[assignment]
    on: Annotated[tuple[Kind, ...], Array] = Field(
        default=KINDS,
        description="Triggers: a task's outputs are no longer its model's own; it missed a tick; a version was taken back; its "
        "monitor begins to speak; a version in shadow or on trial goes beyond its tolerance.",
    )
    when: Annotated[tuple[str, ...], Array] = Field(
        default=(),
        description='More triggers: conditions on tags of one task, `["abs(speed) > 3 and valve[0] < 0.5", "plc_bit"]`, when they '
        "begin to hold.",
    )
    quota: Size = Field(default="2 GB", description="So much the files take together at most; the oldest go first.")  # type: ignore[assignment]
    file: Piece = Field(default="10 min", description="After so long, or so much, a new file is begun.")  # type: ignore[assignment]
    checkpoint_ns: Duration = Field(  # type: ignore[assignment]
        alias="checkpoint",
        default="1 s",
        description="So often what a task remembers is kept, too: from there a replay can begin.",
    )
    compression: Literal["zstd", "none"] = Field(default="zstd", description="Of the files.")
    models: Size = Field(  # type: ignore[assignment]
        default="16 MB",
        description="A model whose file is not larger is in each recording, so that it can be replayed anywhere.",
    )
    stall_ns: Duration = Field(  # type: ignore[assignment]
        alias="stall",
        default="2 s",
        description="So long the disk may take no more without a cycle being lost; that long cycles stay in locked memory, too.",
    )
