"""Results that were never measured, for tests."""

from datetime import UTC, datetime, timedelta

import numpy as np

from station.latency.loading import Loaded
from station.latency.result import KINDS, Long, Peer, Result, Spread, Stretch, Subject, Tie, Why

BEGAN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def gev(rng, count, shape, location=50_000.0, scale=5_000.0):
    """Draws of a GEV in Coles's sign: heavy for a positive shape."""
    drawn = -np.log(rng.uniform(size=count))
    return location + scale * (-np.log(drawn) if abs(shape) < 1e-9 else (drawn**-shape - 1) / shape)


def subject(maxima, name="axis", interval_cycles=1000, **more):
    """A task with these longest reactions, one for each interval."""
    longs = np.asarray(maxima, np.int64)
    spread = Spread.of_bars([(int(v), int(v) + 1000, 1) for v in sorted(longs)])
    whole = Spread(len(longs) * interval_cycles, spread.min, spread.mean, spread.max, spread.bars)
    stretch = Stretch(BEGAN, longs - 2_000, np.full(len(longs), 2_000), longs, np.full(len(longs), interval_cycles))
    at = BEGAN + timedelta(seconds=7)
    why = (Why("interrupt", "interrupt 36 <disk>: 900 on cpu1 in that interval, usually 3"),)
    long = Long(at, int(longs.max()), int(longs.max()) - 2_000, 2_000, why)
    return Subject(
        **{
            "name": name,
            "about": "model m.onnx",
            "cpu": 1,
            "priority": 80,
            "period_ns": 1_000_000,
            "missed": 0,
            "spreads": dict.fromkeys(KINDS, whole),
            "stretches": (stretch,),
            "longest": (long,),
            "ties": (Tie("interrupt", "36 disk cpu1", 20, 90_000.0, 40_000.0, 1e-5),),
            **more,
        }
    )


def result(*subjects, **more):
    """A result of these."""
    four = (20_000, 30_000, 40_000, 50_000)
    peer = Peer("cyclictest", subjects[0].name, subjects[0].spreads["wakeup"], (four, four), (four,))
    return Result(
        **{
            "started": BEGAN,
            "ended": BEGAN + timedelta(seconds=600),
            "complete": True,
            "asked_s": 600.0,
            "interval_ns": 1_000_000_000,
            "turn_s": 15.0,
            "title": "m.onnx",
            "loads": (Loaded("cpu", "arithmetic", 2),),
            "subjects": subjects,
            "peers": (peer,),
            "rights": ({"name": "SCHED_FIFO", "level": "ok", "value": "granted", "meaning": "-", "fix": ""},),
            "machine": ({"name": "kernel", "level": "warn", "value": "6.1", "meaning": "gives way", "fix": "buy"},),
            "sources": ({"name": "smi", "what": "firmware", "told": False, "lacks": "root"},),
            "notes": ("a <note>",),
            "engine": "1.0",
            **more,
        }
    )
