"""What another model would have put out, in many recordings: each station by itself on a worker, the figures together.

    files --by station--> jobs --spread--> WhatIf of each task --> Fleet: each, and all stations' outputs of one name together

A station is not cut: what the new model's states, ramps and rates are at a checkpoint is not in the recording, only what the old one's
were. Counts and extremes of all stations together are exact; quantiles are of the sum of all histograms, within 3 %.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import rt_engine.recording
from rt_engine.errors import EngineError, RecordingError
from scheduler.errors import SchedulerError
from station.replay import places
from station.replay.apart import quantiles_of
from station.replay.asking import Asked, ask
from station.replay.judging import passes
from station.replay.many import Step, stations
from station.replay.pool import Given, Pool
from station.replay.spreading import spread
from station.replay.whatif import OutputFound, WhatIf
from station.replay.worker import address, other_software, software


@dataclass(frozen=True, slots=True)
class Together:
    """One output of all stations that have it. `largest`: of all, at `station`."""

    task: str
    name: str
    unit: str
    stations: int
    compared: int
    equal: int
    beyond: int
    not_finite: int
    outside: int
    largest: float
    station: str
    quantiles: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Fleet:
    """All comparisons, by station. `failed`: why stations could not be compared; `again`, `lost`, `unread`: see `many.Many`."""

    parts: tuple[tuple[str, WhatIf], ...]
    failed: tuple[str, ...]
    seconds: float
    cpu_s: float
    workers: Mapping[str, int]
    again: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def passes(self) -> bool:
        """Does the new model, everywhere, and was everything compared?"""
        return (
            bool(self.parts) and not self.failed and not self.unread and all(passes(found) for _, found in self.parts)
        )

    @property
    def together(self) -> tuple[Together, ...]:
        """The outputs of all stations, by task and name."""
        groups: dict[tuple[str, str], list[tuple[str, OutputFound]]] = {}
        for station, found in self.parts:
            for output in found.outputs:
                groups.setdefault((found.terms.task, output.terms.name), []).append((station, output))
        return tuple(_together(task, found) for (task, _), found in groups.items())

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "passes": self.passes, "seconds": self.seconds, "core_seconds": self.cpu_s, "workers": dict(self.workers),
            "stations": [{"station": name, "passes": passes(found), **found.to_json()} for name, found in self.parts],
            "together": [asdict(one) for one in self.together],
            "failed": list(self.failed), "again": list(self.again), "lost": list(self.lost), "unread": list(self.unread),
        }  # fmt: skip


def _together(task: str, found: list[tuple[str, OutputFound]]) -> Together:
    station, worst = max(found, key=lambda one: one[1].largest)
    bins = sum((Counter(one.bins) for _, one in found), Counter[int]())
    one = found[0][1].terms
    return Together(
        task=task,
        name=one.name,
        unit=one.unit,
        stations=len(found),
        compared=sum(output.compared for _, output in found),
        equal=sum(output.equal for _, output in found),
        beyond=sum(output.beyond for _, output in found),
        not_finite=sum(output.not_finite for _, output in found),
        outside=sum(output.outside for _, output in found),
        largest=worst.largest,
        station=station,
        quantiles=quantiles_of(bins, worst.largest),
    )


def what_if_many(
    where: Iterable[str | Path], on: Executor | Pool, model: Path, asked: Asked, step: Step | None = None
) -> Fleet:
    """Compare a model, .onnx or .rtp in one file, with those that ran, in all recordings.

    Args:
        where, on: see `station.replay.many.replay_many`.
        model: read here, and sent to the workers.
        asked: what is compared, and how strictly; folders as workers see them.
        step: is told (stations done, stations in all).

    Raises:
        RecordingError: there is no recording.
        FleetError: an address cannot be asked.
        OSError: the model cannot be read.
    """
    begin = time.perf_counter()
    pool = Given(on) if isinstance(on, Executor) else on
    data = model.read_bytes()
    known, unread = stations(places.found(where))
    jobs = (_job(station, recording.paths, model.name, data, asked) for station, recording in known.items())
    outcomes = []
    for outcome in spread(jobs, work, pool):
        outcomes.append(outcome)
        if step is not None:
            step(len(outcomes), len(known))
    order = list(known)
    outcomes.sort(key=lambda one: order.index(one.job["station"]))
    done = [one for one in outcomes if one.done is not None]
    return Fleet(
        parts=tuple((one.job["station"], found) for one in done for found in (one.done or {})["found"]),
        failed=tuple(f"{o.job['station']}: {'; '.join(map(str, o.failures))}" for o in outcomes if o.done is None),
        seconds=time.perf_counter() - begin,
        cpu_s=sum((one.done or {})["cpu_s"] for one in done),
        workers=Counter(one.worker for one in done),
        again=tuple(str(failure) for one in done for failure in one.failures),
        lost=tuple(pool.lost()),
        unread=unread,
    )


def _job(station: str, paths: tuple[str, ...], name: str, data: bytes, asked: Asked) -> dict[str, Any]:
    return {
        "software": software(), "station": station, "paths": list(paths), "name": name, "model": data, "asked": asked,
    }  # fmt: skip


def work(job: Mapping[str, Any]) -> dict[str, Any]:
    """One station, on a worker; see `station.replay.worker.work`."""
    about = {"worker": address()}
    if refused := other_software(job):
        return {**about, **refused}
    begin = time.thread_time()
    try:
        found = _compared(job)
    except (FileNotFoundError, PermissionError) as error:
        return {**about, "refused": "file", "text": f"{error}: name recordings as workers see them, or by an address"}
    except (RecordingError, SchedulerError, EngineError) as error:
        return {**about, "refused": "recording", "text": str(error)}
    return {**about, "done": {"found": found, "cpu_s": time.thread_time() - begin}}


def _compared(job: Mapping[str, Any]) -> list[WhatIf]:
    recording = rt_engine.recording.open(job["paths"], places.source)
    asking = ask(recording, job["asked"])
    with tempfile.TemporaryDirectory(prefix="rt-engine-replay-") as folder:
        path = Path(folder, Path(job["name"]).name)
        path.write_bytes(job["model"])
        return asking.run(asking.load(path))
