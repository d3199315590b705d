"""The tables of a task that say what happens where its model is not to be trusted, or has no time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final

from pydantic import BeforeValidator, Field

from station.terms.tables import Duration, Table

ENVELOPE: Final = "envelope"
ENVELOPE_LIMIT: Final = 1.5
SLOT: Final = "slot:"


def _model_only(value: object) -> object:
    """A plain string stands for a table with only the key `model`."""
    return {"model": value} if isinstance(value, str) else value


class MonitorTable(Table):
    """`[tasks.NAME.monitor]`: looks in every cycle whether the model is to be trusted, before anything is published."""

    stand_ins: ClassVar[Mapping[str, object]] = {"model": "envelope"}

    model: str = Field(
        description="One of [models]: its inputs are named as the inputs, outputs or states of the task's model that it is to "
        'see; or "envelope": how far inputs are from the training data in the model\'s contract, 1 is their edge.'
    )
    limit: float | None = Field(
        default=None,
        allow_inf_nan=False,
        description="A value above it is over; left out: 1.5 for the envelope, and a model needs one.",
    )
    delay_ns: Duration | None = Field(
        default=None,
        alias="delay",
        description="The monitor speaks when it has been over for so long; left out: at once.",
    )
    hysteresis: float = Field(
        default=0.0, ge=0, allow_inf_nan=False, description="It speaks until the value is at most limit - hysteresis."
    )
    output: str | None = Field(
        default=None,
        description="The output of the monitor's model whose first element is the value; left out: the first.",
    )
    quantile: float | None = Field(
        default=None,
        gt=0.5,
        lt=1.0,
        description="Of the envelope: the edge is where this share of the training data ends, on each side (0.999); left out: "
        "their least and greatest values.",
    )

    @property
    def limit_or_usual(self) -> float:
        """The limit, or that of the envelope."""
        return ENVELOPE_LIMIT if self.limit is None else self.limit


class FallbackTable(Table):
    """`[tasks.NAME.fallback]`: what is published in a cycle in which the monitor speaks, or what was computed is no good."""

    stand_ins: ClassVar[Mapping[str, object]] = {"use": "safe"}

    use: str = Field(
        description='"slot:NAME", one of [models] with the same inputs and outputs; "step": the task\'s step, to which the '
        'model\'s outputs are 0; "hold": the values before; "safe": the safe values.'
    )
    hold_at_most_ns: Duration | None = Field(
        default=None,
        alias="hold_at_most",
        description='How long "hold" holds, then safe; left out: max_hold of the guard.',
    )
    blend_ns: Duration | None = Field(
        default=None,
        alias="blend",
        description="Published values go over to another source, and back, in this time; left out: at once, within max_rate.",
    )


class OnLateTable(Table):
    """`on_late` of a task: a smaller model for cycles in which too little time is left. A plain string is its name."""

    stand_ins: ClassVar[Mapping[str, object]] = {"model": "?"}

    model: str = Field(description="One of [models], with the same inputs and outputs.")
    needs_ns: Duration | None = Field(
        default=None,
        alias="needs",
        description="What the task's model takes at most; left out: measured when it is loaded, and at each update.",
    )
    reserve_ns: Duration | None = Field(
        default=None,
        alias="reserve",
        description="So much of the cycle is for what follows the model; left out: nothing.",
    )


OnLateEntry = Annotated[OnLateTable, BeforeValidator(_model_only, json_schema_input_type=str | OnLateTable)]
