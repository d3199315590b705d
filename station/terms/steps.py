"""The tables of a task's step: one frozen pydantic model for each type, which says what is wrong with it and makes it.

What is compiled, and what its parameters mean, is in `scheduler.controllers`; imported here when a step is made, so that
reading a file stays light.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal

from pydantic import BeforeValidator, Field, FiniteFloat

from station.terms.tables import Array, Duration, Table

if TYPE_CHECKING:
    from scheduler.steps import Step

NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a step finds: the tag of each value of the task's inputs and outputs, and the limits of the first output."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    low: float
    high: float
    has_model: bool


class StepTable(Table, ABC):
    """`[tasks.NAME.step]` of any type."""

    def faults(self, around: Surroundings) -> Iterator[tuple[str, str]]:
        """(key, what is wrong with it) in a task; key "" for the whole."""
        yield from ()

    @abstractmethod
    def make(self, around: Surroundings, folder: Path, state_bytes: int) -> Step:
        """The step, in a task where it has no faults; raises `SchedulerError`."""


class FunctionStep(StepTable):
    """A function of your own. `step = "file.py:function"` is short for it."""

    type: Literal["function"]
    function: str = Field(description='"file.py:function"; docs/steps.md says how to write one.')

    def make(self, around: Surroundings, folder: Path, state_bytes: int) -> Step:
        """Compiled, or taken from the cache."""
        from scheduler.steps import Step

        return Step.compile(str(folder / self.function), state_bytes)


class PidStep(StepTable):
    """A PID controller for the task's only output, within that output's limits."""

    stand_ins: ClassVar[Mapping[str, object]] = {"gain": 1.0}

    type: Literal["pid"]
    gain: FiniteFloat = Field(
        description="Output per unit of error; negative where more output means less of the measured."
    )
    integral_ns: Duration | None = Field(
        default=None, alias="integral", description="Integral time; left out: no integral."
    )
    derivative_ns: Duration | None = Field(
        default=None, alias="derivative", description="Derivative time; left out: no derivative."
    )
    filter_ns: Duration | None = Field(
        default=None, alias="filter", description="Filter of the derivative; left out: a tenth of `derivative`."
    )
    setpoint: FiniteFloat | None = Field(
        default=None, description="What the measured value shall be, if it is always the same."
    )
    setpoint_tag: str | None = Field(
        default=None, description="The input that says it; left out, like `setpoint`: the task's model does."
    )
    measured: str | None = Field(default=None, description="The input to be controlled; left out: the first one.")
    bias: FiniteFloat = Field(default=0.0, description="Output without an error and an integral.")

    def faults(self, around: Surroundings) -> Iterator[tuple[str, str]]:
        """One output; measured and setpoint are two different inputs."""
        if len(around.outputs) != 1:
            yield "", f"a PID has one output; this task has {len(around.outputs)}"
        for key, tag in (("measured", self.measured), ("setpoint_tag", self.setpoint_tag)):
            if tag is not None and tag not in around.inputs:
                yield key, f'"{tag}" is none of the task\'s inputs: {", ".join(dict.fromkeys(around.inputs))}'
        if self.setpoint_tag is not None and self.setpoint_tag == (self.measured or around.inputs[0]):
            yield "setpoint_tag", f'"{self.setpoint_tag}" is the measured value; the setpoint is another input'
        if self.setpoint is not None and self.setpoint_tag is not None:
            yield "setpoint_tag", 'there is "setpoint" already; one of the two'
        if self.setpoint is None and self.setpoint_tag is None and not around.has_model:
            yield "", 'needs the key "setpoint" or "setpoint_tag", for the task has no model that says what is wanted'
        if self.filter_ns is not None and self.derivative_ns is None:
            yield "filter", 'it filters the derivative; add "derivative"'
        if not around.low < around.high:
            yield "", f"the output has no room between low {around.low:g} and high {around.high:g}"

    def make(self, around: Surroundings, folder: Path, state_bytes: int) -> Step:
        """The loop, with the limits of its output."""
        from scheduler.controller_blocks import Wanted
        from scheduler.controllers import pid

        wanted: int = Wanted.MODEL if self.setpoint is None else Wanted.CONSTANT
        return pid(
            gain=self.gain,
            integral_s=(self.integral_ns or 0) / NS,
            derivative_s=(self.derivative_ns or 0) / NS,
            filter_s=None if self.filter_ns is None else self.filter_ns / NS,
            setpoint=self.setpoint or 0.0,
            wanted=wanted if self.setpoint_tag is None else around.inputs.index(self.setpoint_tag),
            measured=0 if self.measured is None else around.inputs.index(self.measured),
            inputs=len(around.inputs),
            bias=self.bias,
            low=around.low,
            high=around.high,
        )


Row = Annotated[tuple[FiniteFloat, ...], Array]


class LinearStep(StepTable):
    """`outputs = matrix * inputs + offset`."""

    type: Literal["linear"]
    matrix: Annotated[tuple[Row, ...], Array] | None = Field(
        default=None,
        description="A row for each output value, in it a factor for each input value; left out: one to one.",
    )
    offset: Row | None = Field(default=None, description="A number for each output value; left out: zeros.")

    def faults(self, around: Surroundings) -> Iterator[tuple[str, str]]:
        """As many rows as outputs, as many columns as inputs; no model, whose outputs have `scale` and `offset`."""
        rows, columns = len(around.outputs), len(around.inputs)
        if around.has_model:
            yield "", 'the task\'s model computes the outputs; give them "scale" and "offset", or leave the model out'
        elif self.matrix is None and rows != columns:
            yield "", f'the task has {columns} input and {rows} output values; say in "matrix" what becomes of them'
        if self.matrix is not None and [len(row) for row in self.matrix] != [columns] * rows:
            found = ", ".join(str(len(row)) for row in self.matrix)
            yield (
                "matrix",
                f"must have {rows} rows (outputs) of {columns} numbers (inputs), got rows of {found or 'none'}",
            )
        if self.offset is not None and len(self.offset) != rows:
            yield "offset", f"must have {rows} numbers, one for each output value, got {len(self.offset)}"

    def make(self, around: Surroundings, folder: Path, state_bytes: int) -> Step:
        """The matrix; without one, inputs become outputs."""
        from scheduler.controllers import linear

        columns = range(len(around.inputs))
        return linear(self.matrix or [[float(row == column) for column in columns] for row in columns], self.offset)


class _SignalStep(StepTable):
    """A step with one signal for each output: what the model gives, or without a model the task's inputs."""

    def faults(self, around: Surroundings) -> Iterator[tuple[str, str]]:
        """As many signals as outputs."""
        if not around.outputs or (not around.has_model and len(around.inputs) != len(around.outputs)):
            yield "", f"needs an input for each output; this task has {len(around.inputs)} and {len(around.outputs)}"


class TwoPointStep(_SignalStep):
    """Each output on or off, with hysteresis, by its signal: what the model gives, or without a model the task's inputs."""

    stand_ins: ClassVar[Mapping[str, object]] = {"switch_on": 1.0, "switch_off": 0.0}

    type: Literal["two-point"]
    switch_on: FiniteFloat = Field(description="On from here. Below `switch_off`: on when the signal falls (a heater).")
    switch_off: FiniteFloat = Field(description="Off from here; between the two an output stays as it is.")
    on_value: FiniteFloat = Field(default=1.0, description="The output when it is on.")
    off_value: FiniteFloat = Field(default=0.0, description="The output when it is off.")

    def faults(self, around: Surroundings) -> Iterator[tuple[str, str]]:
        """Two different limits, two different values."""
        yield from super().faults(around)
        if self.switch_on == self.switch_off:
            yield "switch_off", f"is {self.switch_off:g} like switch_on; without a distance the output would chatter"
        if self.on_value == self.off_value:
            yield "off_value", f"is {self.off_value:g} like on_value"

    def make(self, around: Surroundings, folder: Path, state_bytes: int) -> Step:
        """One switch for each output."""
        from scheduler.controllers import two_point

        return two_point(
            switch_on=self.switch_on,
            switch_off=self.switch_off,
            on_value=self.on_value,
            off_value=self.off_value,
            count=len(around.outputs),
            of_model=around.has_model,
        )


class RampStep(_SignalStep):
    """Each output follows its signal at a limited rate: what the model gives, or without a model the task's inputs."""

    stand_ins: ClassVar[Mapping[str, object]] = {"up": 1.0}

    type: Literal["ramp"]
    up: FiniteFloat = Field(gt=0, description="Greatest rise, in the tag's unit per second.")
    down: FiniteFloat | None = Field(default=None, gt=0, description="Greatest fall; left out: as `up`.")

    def make(self, around: Surroundings, folder: Path, state_bytes: int) -> Step:
        """One ramp for each output."""
        from scheduler.controllers import ramp

        return ramp(up=self.up, down=self.down, count=len(around.outputs), of_model=around.has_model)


def _function_only(value: object) -> object:
    """A plain string stands for a table of type "function"."""
    return {"type": "function", "function": value} if isinstance(value, str) else value


STEP_TABLES: Final = (PidStep, LinearStep, TwoPointStep, RampStep, FunctionStep)
AnyStep = Annotated[PidStep | LinearStep | TwoPointStep | RampStep | FunctionStep, Field(discriminator="type")]
StepEntry = Annotated[AnyStep, BeforeValidator(_function_only, json_schema_input_type=str | AnyStep)]
