"""Made-up values of the station's types, for tests that only carry them about."""

from typing import Any

from fieldbus.link.state import LINK_STATISTICS
from scheduler.stats import Latency
from station.show.snapshot import LinkView, Snapshot, TaskView
from station.show.tags import TagView

TIMING = Latency(20_000, 30_500, 1_100, 31_000.0, 30_000.0, 61_000.0, 140_000.0, 200_000.0, 257_123)
EMPTY = Latency(0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0)


def link(name: str, device: str, state: str, last_error: str = "", **counts: int) -> LinkView:
    """A link; what is not counted is 0."""
    zeros = {statistic.name: 0 for statistic in LINK_STATISTICS}
    round_trip = TIMING if counts.get("reads") else EMPTY
    return LinkView(
        name=name, device=device, state=state, round_trip=round_trip, last_error=last_error, **zeros | counts
    )


def tag(name: str, *values: float, raw: str = "", unit: str = "", **others: Any) -> TagView:
    """An input of `plant` that was just read; `others` say what is otherwise."""
    fields = {"link": "plant", "direction": "in", "type": "float32", "place": "input 0", "quality": "GOOD"}
    return TagView(
        **{"name": name, "values": values, "raw": raw, "unit": unit, "age_ns": 2_500_000, **fields, **others}
    )


def snapshot() -> Snapshot:
    """A station with two tasks, two links, one of them lost, and three of its 300 tags."""
    counters = {"page_faults": 0, "bad_inputs": 3, "safe": 3}
    missed = {**counters, "missed": 2}
    return Snapshot(
        station="cell",
        pid=4711,
        running_s=20.5,
        tasks=(
            TaskView("axis_x", "policy", 2, 1_000_000, 20_000, 1, TIMING, TIMING, missed, "", 0, 20_000_000_000, 0),
            TaskView(
                "anomaly", "forest", 1, 100_000_000, 0, 0, EMPTY, EMPTY, counters, "outputs safe, inputs bad", 0, 0, 0
            ),
        ),
        links=(
            link("plant", "modbus-tcp 127.0.0.1:1502", "up", reads=20_000, writes=20_000),
            link(
                "plc",
                "ads 10.0.0.2",
                "down",
                "<refused> & gone",
                errors=9,
                reconnects=4,
                safe_writes=2,
            ),
        ),
        models={"policy": "policy_b.onnx", "forest": "forest.onnx"},
        rights=("SCHED_FIFO 80: NOT granted: add a line to limits.conf",),
        tags=(
            tag("level", 21.5, raw="41ac0000", unit="%"),
            tag("force", -20.0, raw="c1a00000", unit="N", direction="out", place="holding 0 CDAB", quality="STALE"),
            tag("lost", 0.0, link="plc", type="int16", place="MAIN.<lost>", quality="BAD", age_ns=None),
        ),
        tag_count=300,
    )
