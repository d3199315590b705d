"""What the demo on EtherCAT records while it runs: what station and slaves say, at the same time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from station.demo.facts import StationLook
from station.show.snapshot import LinkView
from station.show.tags import TagView

AXIS_TAGS: Final = ("x.position", "x.velocity", "x.state")
OTHER_TAGS: Final = ("reference", "reference_velocity")
ENABLED: Final = "OPERATION_ENABLED"
FAULT: Final = "FAULT"


@dataclass(frozen=True, slots=True)
class AxisLook(StationLook):
    """Station and drive. `position_rad`, `drive`: by the slave's own word, whatever the bus carries."""

    tags: Mapping[str, TagView]
    position_rad: float
    drive: str

    @property
    def link(self) -> LinkView:
        """The bus."""
        return self.station.links[0]

    @property
    def reference_rad(self) -> float:
        """Where the axis should be; NaN where nobody knows."""
        tag = self.tags["reference"]
        return float(tag.values[0]) if tag.quality == "GOOD" else math.nan

    @property
    def holds(self) -> bool:
        """Is the axis powered, and in the network's hands?"""
        return self.drive == ENABLED and all(tag.quality == "GOOD" for tag in self.tags.values())

    def worst(self, names: Sequence[str]) -> str:
        """The worst quality of these tags."""
        return max((self.tags[name].quality for name in names), key=("GOOD", "STALE", "BAD").index)


def errors_rad(looks: Sequence[AxisLook]) -> list[float]:
    """How far the axis was from its reference, by values of one cycle, in the looks in which it was held."""
    return [look.reference_rad - float(look.tags["x.position"].values[0]) for look in looks if look.holds]


def rms(values: Sequence[float]) -> float:
    """Root mean square; NaN of none."""
    return math.sqrt(sum(v * v for v in values) / len(values)) if values else math.nan
