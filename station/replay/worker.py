"""What a worker does: one segment of one task's recording, run again. Plain data in and, but for what was found, out.

It may be on another computer, with other folders, another lane width, another version of this software: what it lacks it says
(`refused`), so that another one is tried. What it has read and made it keeps for the next segment of the same task.
"""

from __future__ import annotations

import hashlib
import os
import socket
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import rt_engine
from rt_engine import Model
from rt_engine.errors import RecordingError
from rt_engine.recording import Recording, TaskRecording
from rt_engine.recording.layout import Records
from rt_engine.recording.rows import Rows
from rt_engine.run.native import library
from rt_native.errors import NativeError
from rt_native.target import host
from rt_native.version import TEXT
from scheduler.errors import ReplayError
from scheduler.replay import NOT_REPEATED, Piece, Replayed, What, replay_task
from station.replay import places
from station.replay.arithmetic import OtherArithmeticError, other_arithmetic
from station.replay.models import Search
from station.replay.pieces import pieces_of
from station.replay.restored import MissingModelError, Restored, restored

LANES: Final = "RT_ENGINE_LANES"
"""Environment: the models of this worker run with so many lanes, where it has wider ones: for who wants to see the same bits."""
KEPT: Final = 16
"""Recordings, and tasks, that a thread of a worker keeps open."""
PACKAGES: Final = ("rt_native", "rt_engine", "fieldbus", "scheduler", "station")
"""What has a say in what a replay gives."""


class _Keep(threading.local):
    """Of one thread: what was opened and made for the newest jobs."""

    def __init__(self) -> None:
        self.recordings: OrderedDict[Any, Recording] = OrderedDict()
        self.tasks: OrderedDict[Any, Restored] = OrderedDict()


_keep = _Keep()


def work(job: Mapping[str, Any]) -> dict[str, Any]:
    """Run a segment again.

    Args:
        job: `software` of who asks; `paths` of the recording; `task`; `boot`, `first_ns`, `last_ns` of the segment, None for all of a
            boot; `models`, folders in which models are looked for; `steps`, a folder, or None; `trusted`: run steps that are in the
            recording; `tries`: how often others could not do it: then what can be run is, without the models that are nowhere.

    Returns:
        `worker`, `lanes`, and `done`: a dictionary with `found`, a `scheduler.replay.Replayed`, and `cpu_s`; `begins_same`, was its
        first record the same, and `ends_same`, was what the task remembered at its end what the next segment begins with; or
        `refused`, why, and `text`.
    """
    about = {"worker": address()}
    if refused := other_software(job):
        return {**about, **refused}
    try:
        begin = time.thread_time()
        done = _done(job)
        return {**about, "lanes": lanes(), "done": {**done, "cpu_s": time.thread_time() - begin}}
    except (FileNotFoundError, PermissionError) as error:
        text = f"{error}: name recordings and folders as workers see them, or by an address (s3://...)"
        return {**about, "refused": "file", "text": text}
    except MemoryError as error:
        return {**about, "refused": "memory", "text": f"there is too little memory: {error}"}
    except MissingModelError as error:
        return {**about, "refused": "model", "text": str(error)}
    except OtherArithmeticError as error:
        return {**about, "refused": "arithmetic", "text": str(error)}
    except (RecordingError, ReplayError) as error:
        return {**about, "refused": "recording", "text": str(error)}


def other_software(job: Mapping[str, Any]) -> dict[str, Any]:
    """A refusal, where who asks has other software; empty: the same."""
    if job.get("software") == software():
        return {}
    text = f"it has {software()}, and {job.get('software')} was asked for: install the same version there"
    return {"refused": "software", "text": text}


def _done(job: Mapping[str, Any]) -> dict[str, Any]:
    recording = _opened(tuple(job["paths"]))
    if why := other_arithmetic(recording.about):
        raise OtherArithmeticError(why)
    task = recording.task(job["task"])
    rows = task.record_rows
    start, stop = _rows(rows, job)
    made = _made(recording, job)
    if made.missing and not job.get("tries"):
        raise MissingModelError("; ".join(map(str, made.missing)))
    behind = rows.starts[rows.boots[job["boot"]][1]]
    found, what = _run(made, task, start, min(stop + 1, behind))
    is_same = True
    if stop < behind and what[-1] == NOT_REPEATED:
        found, what = _run(made, task, start, stop)
    elif stop < behind:  # counted by the segment that begins with it
        is_same = what[-1] == What.NOTHING
        found = replace(found, recorded=found.recorded - 1, cycles=found.cycles - 1, equal=found.equal - is_same)
    missing = [str(one) for one in made.missing]
    ends = {"begins_same": what[0] == What.NOTHING, "ends_same": is_same}
    return {"found": found, "period_ns": made.layout.period_ns, "missing": missing, **ends}


def _run(made: Restored, task: TaskRecording, start: int, stop: int) -> tuple[Replayed, list[int]]:
    """Repeat rows; and what was another in the first record, and in the last (`What`)."""
    ends: list[int] = []

    def each(piece: Piece, rows: Records) -> None:
        ends[:] = [*ends[:1], *map(int, rows["what"][[0, -1] if not ends else [-1]])]

    pieces = pieces_of(task, (start, stop))
    found = replay_task(made.task, made.models, made.layout, pieces, others=made.others, each=each)
    return found, ends or [NOT_REPEATED]


def _rows(rows: Rows, job: Mapping[str, Any]) -> tuple[int, int]:
    """The first row of a segment, and the one behind its last."""
    if job["first_ns"] is None and job["boot"] in rows.boots:
        first, behind = rows.boots[job["boot"]]
        return rows.starts[first], rows.starts[behind]
    found = [rows.row_at(job["boot"], job[key]) for key in ("first_ns", "last_ns") if job[key] is not None]
    if len(found) != 2 or found[0] is None or found[1] is None:
        raise RecordingError("the segment is not in the recording any more: has it been written to, or cut?")
    return found[0], found[1] + 1


def _opened(paths: tuple[str, ...]) -> Recording:
    def make() -> Recording:
        return rt_engine.recording.open(paths, places.source)

    found: Recording = _kept(_keep.recordings, paths, make)
    return found


def _made(recording: Recording, job: Mapping[str, Any]) -> Restored:
    folders = tuple(map(Path, job["models"]))
    steps = None if job["steps"] is None else Path(job["steps"])
    versions = {task: dict(known) for task, known in recording.versions.items()}
    key = (
        recording.station_text, job["task"], recording.task(job["task"]).layout.to_json(), repr(versions), folders, steps,
        job["trusted"],
    )  # fmt: skip

    def make() -> Restored:
        made = restored(recording, job["task"], Search(recording, folders), steps=steps, trusted=job["trusted"])
        return with_lanes(made, _wanted_lanes())

    found: Restored = _kept(_keep.tasks, key, make)
    return found


def _kept(kept: OrderedDict[Any, Any], key: Any, make: Any) -> Any:
    if key not in kept:
        kept[key] = make()
    kept.move_to_end(key)
    while len(kept) > KEPT:
        kept.popitem(last=False)
    return kept[key]


def with_lanes(made: Restored, wanted: int | None) -> Restored:
    """The task's models on kernels for another lane width; those of its monitor and fallback stay as they are.

    Raises:
        ReplayError: the processor does not have them.
    """
    if wanted is None:
        return made
    try:
        kernels = library(host(wanted))
    except NativeError as error:
        raise ReplayError(f"{LANES}: {error}") from error
    models = {number: Model(model.program, model.name, kernels) for number, model in made.models.items()}
    return replace(made, models=models)


def _wanted_lanes() -> int | None:
    text = os.environ.get("RT_ENGINE_LANES", "")
    if text and not text.isdigit():
        raise ReplayError(f"{LANES} is {text!r}; it is a number of lanes: 4, 8 or 16")
    return int(text) if text else None


def lanes() -> int:
    """Of the models of this worker."""
    return _wanted_lanes() or host().lanes


def address() -> str:
    """Of this worker: of a Dask cluster's its address, else computer and process."""
    distributed = sys.modules.get("distributed")
    if distributed is not None:
        try:
            return str(distributed.get_worker().address)
        except ValueError:
            pass  # Dask is imported, but this is no worker of it
    return f"{socket.gethostname()}:{os.getpid()}"


@cache
def software() -> str:
    """Version, and a hash of everything that has a say in what comes out: two with the same give the same."""
    root, digest = Path(__file__).resolve().parents[2], hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return f"rt-engine {TEXT} ({digest.hexdigest()[:12]})"


@dataclass(frozen=True, slots=True)
class Ask:
    """How segments are run again, wherever that is; see `work`."""

    models: tuple[str, ...] = ()
    steps: str | None = None
    trusted: bool = False

    def job(
        self, paths: tuple[str, ...], task: str, boot: str, first_ns: int | None, last_ns: int | None
    ) -> dict[str, Any]:
        """What `work` takes."""
        return {
            "software": software(), "paths": list(paths), "task": task, "boot": boot, "first_ns": first_ns, "last_ns": last_ns,
            "models": list(self.models), "steps": self.steps, "trusted": self.trusted,
        }  # fmt: skip
