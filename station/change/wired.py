"""The changes of a station, wired to its tasks, its gate and whoever hears of them."""

from __future__ import annotations

from plc_bindings.security.signing import PublicKey
from rt_engine.apart import Apart
from scheduler.scheduler import Scheduler
from station.change.changes import Changes
from station.change.gate import StationGate
from station.change.heard import Heard
from station.change.live import LiveTasks
from station.change.policy import policy_of
from station.change.seen_again import Recordings, nowhere
from station.file.reading import StationFile
from station.wiring.parts import Parts


def changes_of(
    file: StationFile,
    parts: Parts,
    scheduler: Scheduler,
    apart: Apart,
    heard: Heard,
    recordings: Recordings = nowhere,
) -> Changes:
    """What becomes of new versions of a station's models; nothing is started."""
    config = file.config
    return Changes(
        policies={name: policy_of(table.change) for name, table in config.models.items()},
        versions=lambda slot: parts.slots[slot].version,
        gate=StationGate(config, parts, scheduler, apart, file.path.parent),
        tasks=LiveTasks(config, parts, scheduler, is_served=lambda: bool(config.servers)),
        told=heard,
        recordings=recordings,
        keys=[PublicKey.parse(text) for text in config.station.keys],
    )
