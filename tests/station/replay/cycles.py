"""What a task did, as arrays, for comparisons that need no task."""

import numpy as np

from scheduler.status import Action
from station.replay.whatif import Comparison, Cycles, OutputTerms, Terms

PERIOD_NS = 1_000_000
FIRST_NS = 7_000_000_000


def terms(*outputs, count=1000, **more):
    """Of a task `axis` with these outputs."""
    last_ns = FIRST_NS + (count - 1) * PERIOD_NS
    return Terms(
        **{"task": "axis", "period_ns": PERIOD_NS, "first_ns": FIRST_NS, "last_ns": last_ns, "outputs": outputs} | more
    )


def cycles(raw, published=None, status=0, action=Action.LIVE, monitor=0.0, smaller=False, first=0):
    """Of these outputs [cycles] or [cycles, outputs]; what is left out is as in a good cycle."""
    raw = np.asarray(raw, np.float64).reshape(len(raw), -1)
    count = len(raw)
    published = raw if published is None else np.asarray(published, np.float64).reshape(count, -1)
    ticks = FIRST_NS + (first + np.arange(count)) * PERIOD_NS
    status, action = (np.broadcast_to(np.asarray(one, np.int64), count) for one in (status, action))
    smaller, monitor = np.broadcast_to(smaller, count), np.broadcast_to(np.asarray(monitor, np.float64), count)
    return Cycles(ticks, raw, published, status, action, monitor, smaller)


def compared(old, new, *outputs, pieces=1, **more):
    """The figures, taken in so many pieces."""
    outputs = outputs or (OutputTerms("force", "N"),)
    comparison = Comparison(terms(*outputs, count=len(old), **more))
    for part in np.array_split(np.arange(len(old)), pieces):
        comparison.add(*(cut(one, part) for one in (old, new)))
    return comparison.result()


def cut(one, part):
    """Some of the cycles."""
    return Cycles(*(getattr(one, name)[part] for name in Cycles.__slots__))
