"""What the demo records while it runs, as frozen values: the plant's word, and the station's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from plc_bindings.data.changes import ChangeView
from station.show.snapshot import Snapshot, TaskView


@dataclass(frozen=True, slots=True)
class AxisInterval:
    """The plant's statistics of one axis over one interval. `holds`: why its brake engaged -> how often.

    `commands`: force commands that came; `not_finite`: those of them that were no number.
    """

    running_s: float
    tracking_rms_m: float | None
    max_angle_rad: float
    holds: Mapping[str, int]
    commands: int = 0
    not_finite: int = 0


@dataclass(frozen=True, slots=True)
class Interval:
    """The plant's statistics between two marks, by the plant's own clock."""

    name: str
    begin_s: float
    end_s: float
    axes: Mapping[str, AxisInterval]

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.end_s - self.begin_s

    @property
    def was_cut_off(self) -> bool:
        """Did the plant's drives hear nothing for longer than they accept, and brake?"""
        return any("communication" in axis.holds for axis in self.axes.values())

    @classmethod
    def of(cls, name: str, answer: Mapping[str, Any]) -> Interval:
        """From the plant's answer to the `mark` that ended it."""
        axes = {
            name: AxisInterval(
                a["running_s"], a["tracking_rms_m"], a["max_angle_rad"], a["holds"], a["commands"], a["not_finite"]
            )
            for name, a in answer["axes"].items()
        }
        return cls(name, answer["begin_s"], answer["end_s"], axes)


@dataclass(frozen=True, slots=True)
class PlantView:
    """The plant now, by axis: `holds`, why its brake is engaged, or "none"; `commands`, the force asked for, in N.

    `time_s` is the plant's own clock; `slipped_s` what it lost because the plant's process did not get the processor.
    """

    time_s: float
    slipped_s: float
    anomaly_score: float
    holds: Mapping[str, str]
    commands: Mapping[str, float]
    errors_m: Mapping[str, float]

    @property
    def runs(self) -> bool:
        """Are all brakes released?"""
        return all(hold == "none" for hold in self.holds.values())

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> PlantView:
        """From the plant's answer to `status`; a number that the plant does not have is NaN."""
        axes, score = answer["axes"], answer["anomaly_score"]
        return cls(
            time_s=answer["time_s"],
            slipped_s=answer["slipped_s"],
            anomaly_score=float("nan") if score is None else score,
            holds={name: axis["hold"] for name, axis in axes.items()},
            commands={n: float("nan") if a["command"] is None else a["command"] for n, a in axes.items()},
            errors_m={name: axis["position"] - axis["reference"] for name, axis in axes.items()},
        )


@dataclass(frozen=True, slots=True)
class StationLook:
    """The station, asked between `asked_ns` and `answered_ns`, CLOCK_MONOTONIC."""

    asked_ns: int
    answered_ns: int
    station: Snapshot

    def task(self, name: str) -> TaskView:
        """One task of the station."""
        return next(task for task in self.station.tasks if task.name == name)

    @property
    def missed(self) -> int:
        """Ticks that no cycle served, of all tasks."""
        return sum(task.counters["missed"] for task in self.station.tasks)

    def change(self, slot: str) -> ChangeView:
        """The newest change of a model's slot."""
        return next((one for one in self.station.changes if one.slot == slot), ChangeView(slot))

    def missed_since(self, before: StationLook) -> int:
        """Ticks missed since another look; since the station's start, where it has started anew."""
        return self.missed - (before.missed if before.station.pid == self.station.pid else 0)


@dataclass(frozen=True, slots=True)
class Look(StationLook):
    """Station and plant, asked at about the same time."""

    plant: PlantView


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command of `rt-engine` said, and its exit code."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Mute:
    """The cable was pulled at `from_ns` (CLOCK_MONOTONIC), for `seconds`."""

    from_ns: int
    seconds: float

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Mute:
        """From the plant's answer to `mute`."""
        return cls(answer["monotonic_ns"], answer["duration_s"])

    @property
    def until_ns(self) -> int:
        """When it was plugged in again."""
        return self.from_ns + round(self.seconds * 1e9)
