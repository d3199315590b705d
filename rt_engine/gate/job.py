"""What a new version is examined against: plain data, so that it goes to a worker process as JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np

from rt_engine.contract.compare import Wire, Wiring
from rt_engine.program.program import TensorSpec

DRAWS = 10_000
SEED = 20_260_101
"""Of the drawn inputs: the same file is shown the same inputs, today and in a year."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What one task has for its model in a cycle.

    Args:
        task: its name.
        period_ns: the cycle time: a model runs within one cycle, also where it has a turn in every so many only.
        needs_ns: what the task needs for everything else (inputs, step, guard, exchange): its p99.9, best.
        running_ns: what the running version takes of a cycle, best its p99.9; 0: nothing runs, or it is not known.
    """

    task: str
    period_ns: int
    needs_ns: int = 0
    running_ns: int = 0

    @property
    def ns(self) -> int:
        """What is left for the model: the period less what the task already needs."""
        return max(self.period_ns - self.needs_ns, 0)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was recorded, for the new version to be run over; who can replay recordings reads it (`rt_engine.gate.examine.Over`).

    Args:
        path: a file, or a folder of files.
        slot: whose model it takes the place of, as the recording names it; "": the only one.
        tolerance: how far an output may lie from what was recorded, in its unit; `tolerances`, by output, come first. None: any.
        disagreements: so many values may lie further apart.
        most_s: it ends after so long, and the report says how far it came.
        folders: where models are looked for that the tasks need besides, by their hash.
        steps: where files of steps are; "": a task with a step of the user's own cannot be run.
    """

    path: str
    slot: str = ""
    tolerance: float | None = None
    tolerances: Mapping[str, float] = field(default_factory=dict)
    disagreements: int = 0
    most_s: float = 10.0
    folders: tuple[str, ...] = ()
    steps: str = ""


@dataclass(frozen=True, slots=True)
class GateJob:
    """Everything that the gate wants to know besides the file.

    Args:
        slot: for messages.
        inputs, outputs, classes: of the running model; None: none runs, so every interface will do.
        budgets: one for each task that runs the slot.
        running: the running model's `metadata`, in which its contract is.
        needs_contract: is a file without a contract refused?
        wirings: what each task connects to the model, to be compared with the contract.
        draws: how many inputs are drawn from the contract's ranges.
        seed: of the draws.
        most_bytes: what weights and one arena for each task may need together; 0: whatever there is.
        draw_s: the draws end after so long, and the report says how far they came.
        once_s: a first run that takes more time of the processor than this is one that never ends.
        recording: what the new version is run over besides; None: nothing.
    """

    slot: str = ""
    inputs: tuple[TensorSpec, ...] | None = None
    outputs: tuple[TensorSpec, ...] | None = None
    classes: Mapping[str, tuple[Any, ...]] | None = None
    budgets: tuple[Budget, ...] = ()
    running: Mapping[str, str] = field(default_factory=dict)
    needs_contract: bool = False
    wirings: tuple[Wiring, ...] = ()
    draws: int = DRAWS
    seed: int = SEED
    most_bytes: int = 0
    draw_s: float = 10.0
    once_s: float = 10.0
    recording: Recorded | None = None

    def to_json(self) -> dict[str, Any]:
        """As `from_json` reads it."""
        return asdict(self) | {"inputs": _specs_json(self.inputs), "outputs": _specs_json(self.outputs)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        made = {
            "inputs": _specs(data["inputs"]),
            "outputs": _specs(data["outputs"]),
            "classes": data["classes"] and {name: tuple(found) for name, found in data["classes"].items()},
            "budgets": tuple(Budget(**budget) for budget in data["budgets"]),
            "wirings": tuple(map(_wiring, data["wirings"])),
            "recording": _recorded(data["recording"]),
        }
        return cls(**{**data, **made})


def _recorded(data: Mapping[str, Any] | None) -> Recorded | None:
    return None if data is None else Recorded(**{**data, "folders": tuple(data["folders"])})


def _wiring(data: Mapping[str, Any]) -> Wiring:
    ends = {side: tuple(Wire(**wire) for wire in data[side]) for side in ("inputs", "outputs")}
    return Wiring(**{**data, **ends, "state": tuple((out, into) for out, into in data["state"])})


def _specs_json(specs: tuple[TensorSpec, ...] | None) -> list[list[Any]] | None:
    if specs is None:
        return None
    return [[spec.name, list(spec.shape), spec.dtype.name, list(spec.categories)] for spec in specs]


def _specs(data: Any) -> tuple[TensorSpec, ...] | None:
    if data is None:
        return None
    return tuple(TensorSpec(name, tuple(shape), _dtype(kind), tuple(*names)) for name, shape, kind, *names in data)


def _dtype(name: str) -> np.dtype[Any]:
    from rt_engine.program.element_types import KNOWN

    return next(dtype for dtype in KNOWN if dtype.name == name)
