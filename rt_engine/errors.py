"""Errors of the engine.

EngineError
├── ModelFileError          the file cannot be read as an ONNX model: missing, too large, truncated, unsafe external data
│   └── ProgramFileError    a compiled program (.rtp) is damaged, or was made for another version
├── InvalidModelError       it is ONNX, but breaks ONNX's own rules: cycle, wrong types, dangling names
├── UnsupportedModelError   it is valid, but this engine cannot run it; `.reasons` has every one
├── ShapeBindingError       a symbolic dimension has no size, or a given shape does not fit
├── StateError              a pair of output and input cannot be a state: unknown name, other shape or type
├── ContractError           a model's contract cannot be read, or contradicts itself or the model
├── InputError              an array given to `run` has the wrong name, shape or type
├── InterfaceError          a model for a hot update has other inputs or outputs than the running one
├── GateError               the gate refuses a new version of a model; `.report` has every check
├── RecordingError          a recording, or a part of one, cannot be read, or is damaged where it is asked for
├── UpdateError             a hot update was not taken in time; the old version runs on
└── RunError                a kernel ended with a status other than OK

Every message says what, where, what was expected, what came, and what to do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rt_engine.status import Status


class EngineError(Exception):
    """Base of all errors of `rt_engine`."""


class ModelFileError(EngineError):
    """The file cannot be read as an ONNX model."""


class ProgramFileError(ModelFileError):
    """A compiled program (.rtp) is damaged, was made for another version, or cannot be written."""


class InvalidModelError(EngineError):
    """The model breaks ONNX's own rules."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that stands in the way: which node, which operator, why, and what would help."""

    node: str
    operator: str
    why: str
    help: str = ""

    def __str__(self) -> str:
        return f"{self.operator} (node '{self.node}'): {self.why}" + (f"; {self.help}" if self.help else "")


def _grouped(reasons: list[Reason]) -> list[str]:
    """A line for each reason; nodes that share all the rest share a line."""
    nodes: dict[tuple[str, str, str], list[str]] = {}
    for r in reasons:
        nodes.setdefault((r.operator, r.why, r.help), []).append(r.node)
    lines = []
    for (operator, why, help), names in nodes.items():
        shown = ", ".join(f"'{name}'" for name in names[:_SHOWN])
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        lines.append(
            f"{operator} (node{'s' if len(names) > 1 else ''} {shown}{more}): {why}" + (f"; {help}" if help else "")
        )
    return lines


_SHOWN = 5


class UnsupportedModelError(EngineError):
    """A valid model that this engine cannot run, or cannot do with what is asked."""

    def __init__(self, source: str, reasons: list[Reason], what: str = "cannot run") -> None:
        self.source, self.reasons, self.what = source, tuple(reasons), what
        super().__init__(f"{source} {what}:\n" + "\n".join(f"  - {line}" for line in _grouped(reasons)))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.source, list(self.reasons), self.what)


class ShapeBindingError(EngineError):
    """A symbolic dimension has no size, or a given shape does not fit.

    `.why` says it without what to do, and `.gaps` has, for each input that lacks sizes, its shape with their names where numbers
    are missing: a command line says with its own options what helps.
    """

    def __init__(self, why: str, gaps: Mapping[str, tuple[int | str, ...]] | None = None) -> None:
        self.why, self.gaps = why, dict(gaps or {})
        shapes = ", ".join(f"{name!r}: {_tuple(shape)}" for name, shape in self.gaps.items())
        super().__init__(why + (f"; bind them with numbers: shapes={{{shapes}}}" if gaps else ""))

    @property
    def in_toml(self) -> str:
        """The message for whoever writes a station file, where `load` says it to who writes Python."""
        shapes = ", ".join(f"{name} = [{', '.join(map(str, shape))}]" for name, shape in self.gaps.items())
        return self.why + (f"; bind them with numbers: shapes = {{ {shapes} }}" if self.gaps else "")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.why, self.gaps)


def _tuple(shape: tuple[int | str, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"


class StateError(EngineError):
    """A pair of output and input cannot be a state."""


class ContractError(EngineError):
    """A model's contract cannot be read, or contradicts itself or the model."""


class InputError(EngineError):
    """An array has the wrong name, shape or type."""


class InterfaceError(EngineError):
    """The inputs or outputs of a new version differ from those of the running one."""


class GateError(EngineError):
    """The gate refuses a new version of a model; `.report` is its `rt_engine.gate.report.GateReport`."""

    def __init__(self, why: str, report: Any) -> None:
        self.why, self.report = why, report
        super().__init__(why)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.why, self.report)


class RecordingError(EngineError):
    """A recording, or a part of one, cannot be read."""


class UpdateError(EngineError):
    """A hot update was not taken in time; the old version runs on."""


class RunError(EngineError):
    """A kernel ended with a status other than OK."""

    def __init__(self, status: int, node: str, sample: int | None = None) -> None:
        self.status, self.node, self.sample = Status(status), node, sample
        """What went wrong, where, and for `Model.map` in which sample."""
        where = f"node '{node}'" if sample is None else f"sample {sample}, node '{node}'"
        super().__init__(f"{where} ended with status {status} ({self.status.name}): {MEANING[self.status]}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (int(self.status), self.node, self.sample)


MEANING = {
    Status.OK: "no error",
    Status.INDEX_OUT_OF_RANGE: "an index computed at run time points outside of its tensor",
    Status.UNKNOWN_KERNEL: "the program was made for another version of the kernel library",
    Status.DIVISION_BY_ZERO: "an integer was divided by zero",
    Status.IMPOSSIBLE_BRANCH: "its condition chose a branch that does not fit the shapes which the model was loaded for",
    Status.LONGER_THAN_BOUND: "a length that is only known at run time was larger than its bound",
    Status.HELPER_LATE: "a helper core began a part of it and did not end it in time",
}
"""What a status of a run says, in words."""
