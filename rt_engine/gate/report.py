"""What the gate found: every check with its outcome and figures, the times, the memory. Also when all is well."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Self

from rt_engine.errors import GateError

NONE_YET = "nothing_recorded_yet"
"""A figure of the check of a recording that was skipped, as its folder holds none yet."""


class Outcome(StrEnum):
    """Of one check. One that was skipped says why, and stops nothing."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Check:
    """One question that was asked of the new version.

    Args:
        name: of the check, e.g. `test vectors`.
        why: what was found, in one sentence: of a failed one what is wrong, where, and what would help.
        figures: name -> number, with its unit in the name.
    """

    name: str
    outcome: Outcome
    why: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Timing:
    """Execution times of one run of the model here, in nanoseconds; how they are measured: `rt_engine.gate.timing`."""

    runs: int = 0
    p50_ns: int = 0
    p99_9_ns: int = 0
    longest_ns: int = 0
    cold_runs: int = 0
    cold_p50_ns: int = 0
    cold_longest_ns: int = 0
    """With every cache written full of something else before each run."""

    @property
    def need_ns(self) -> int:
        """What a cycle has to have left for one run: for a shadow, and for the other version in a trial."""
        return max(self.p99_9_ns, self.cold_p50_ns)


@dataclass(frozen=True, slots=True)
class Memory:
    """What the version needs, in bytes."""

    weights: int = 0
    arena: int = 0
    """Of one context: each task has one."""
    program: int = 0
    """The compiled file."""


@dataclass(frozen=True, slots=True)
class GateReport:
    """The result for one file.

    Args:
        sha256: of the file with its external data, as `Model.sha256`.
        fits_both: task -> do old and new fit in one of its cycles? Where not, a tick in which a trial goes wrong holds.
        machine: where it was measured.
    """

    slot: str
    model: str
    sha256: str
    checks: tuple[Check, ...]
    timing: Timing
    memory: Memory
    fits_both: Mapping[str, bool] = field(default_factory=dict)
    seed: int = 0
    machine: str = ""
    took_ms: Mapping[str, float] = field(default_factory=dict)
    """Stage -> milliseconds."""

    @property
    def passed(self) -> bool:
        """Did no check fail?"""
        return not self.failed

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.outcome is Outcome.FAILED)

    @property
    def refusal(self) -> str:
        """Why it is refused, in a sentence for each check that failed; "": it is not."""
        return "; ".join(f"{check.name}: {check.why}" for check in self.failed)

    def require_passed(self) -> None:
        """Raise GateError, with `refusal`, unless it passed."""
        if not self.passed:
            raise GateError(f"the gate refuses {self.model}: {self.refusal}", self)

    def to_json(self) -> dict[str, Any]:
        """What `json.dumps` takes; `from_json` reads it."""
        return asdict(self) | {"passed": self.passed}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        checks = tuple(Check(c["name"], Outcome(c["outcome"]), c["why"], c["figures"]) for c in data["checks"])
        rest = {key: value for key, value in data.items() if key != "passed"}
        made = {"checks": checks, "timing": Timing(**data["timing"]), "memory": Memory(**data["memory"])}
        return cls(**{**rest, **made})
