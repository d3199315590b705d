"""Every device of a station, asked once what it has; nothing is written: `rt-engine check --connect`.

    inputs     read as the station would, through a link that has no output
    outputs    read back from where the station would write them; a device may refuse that
    refused    the tags are read in halves, so that one wrong address does not hide the others
    doubtful   once more, one register earlier and later (`station.show.doubts`)

A link of our own is at work for as long as an exchange takes. Other stations may read the same device meanwhile, where it has
room for two masters (`DeviceLinkTable.is_shared`).
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from fieldbus.errors import FieldbusError
from fieldbus.link.cyclic import CONNECT_S
from fieldbus.link.link import NS, Link
from fieldbus.link.values import TagValue
from fieldbus.tags import Quality, Tag
from station.errors import StationError
from station.file.owners import owner_of, waits_ns
from station.file.reading import StationFile
from station.file.view import tags_of
from station.links import DeviceLinkTable, NativeLinkTable
from station.machine.claims import holder
from station.running.asking import fetch_status
from station.running.finding import running_stations
from station.show.doubts import Doubt, doubt, read
from station.show.next_steps import next_step
from station.show.tags import TagView
from station.terms.durations import format_duration
from station.terms.tables import TagTable
from station.wiring.parts import make_tag

PATIENCE_NS: Final = NS
"""So long a device has for its answer, at least: here nothing is controlled."""
CYCLE_NS: Final = NS // 10
SILENCES: Final = 2.0
REFUSED_S: Final = 0.35
"""So long a device may say "not now"."""
TRIES: Final = 2
"""So many attempts to connect; some devices are deaf right after a connection was closed."""
MOST_READS: Final = 64
"""So many connections one device gets at most, when it refuses tags."""
MOST_BESIDE: Final = 20
"""So many doubtful tags are read once more, one register earlier and later."""
_POLL_S: Final = 0.005
_REFUSAL: Final = re.compile(r"exception \d|ADS error 0x7|its tag needs")
_AT_ONCE: Final = 16


@dataclass(slots=True)
class Heard:
    """What one device said. `problem`: why nothing, and `help` what to look at; `notes`: what a person should know besides."""

    link: str
    device: str
    tags: list[TagView] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    helps: list[str] = field(default_factory=list)
    """What to look at for those."""
    unshown: dict[str, str] = field(default_factory=dict)
    """Inputs that could not be read, and outputs that could not be read back: tag -> why."""
    doubts: dict[str, Doubt] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problem: str = ""
    help: str = ""
    took_ns: float = 0.0
    """The longest exchange."""
    is_held: bool = False
    """Was it not asked, as a running station has it to itself?"""

    @property
    def is_complete(self) -> bool:
        """Did the device give every input?"""
        return not self.problem and not self.refused


def connect(file: StationFile) -> list[Heard]:
    """Ask all devices, those that differ at the same time; links without a device are left out. In the order of the file."""
    groups: dict[object, list[str]] = {}
    for name, table in file.config.links.items():
        if isinstance(table, DeviceLinkTable):
            one = table.held_alone() or next(iter(table.device_names(tags_of(file.config, name).values())), name)
            groups.setdefault(one, []).append(name)

    def ask(names: list[str]) -> list[Heard]:
        return [_Asking(file, name).heard() for name in names]

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = {heard.link: heard for some in pool.map(ask, groups.values()) for heard in some}
    return [found[name] for name in file.config.links if name in found]


class _Asking:
    """One link of the station, asked what its device has."""

    def __init__(self, file: StationFile, name: str) -> None:
        self._name, self._folder = name, file.path.parent
        table = file.config.links[name]
        assert isinstance(table, DeviceLinkTable)
        self._table = table
        patience: dict[str, object] = {
            "cycle_ns": max(table.cycle_ns, CYCLE_NS),
            "timeout_ns": max(table.timeout_ns, PATIENCE_NS),
        }
        if isinstance(table, NativeLinkTable):
            patience["exchange"] = "own-thread"  # there is no task here
        owner = owner_of(file.config, name)
        self._task = owner or ""
        self._io_ns = waits_ns(file.config.tasks[owner]) if owner else 0
        self._patient = table.model_copy(update=patience)
        self._entries = tags_of(file.config, name)
        self._reads = 0
        self._refused: dict[str, str] = {}
        self._heard = Heard(name, table.describe())

    def heard(self) -> Heard:
        users = list(_users(self._table, self._entries.values()))
        if users and not self._table.is_shared:
            self._heard.is_held = True
            self._heard.problem = f"not asked: {users[0]}, and it takes one at a time"
            self._heard.help = "`rt-engine watch` shows what that station reads; or stop it first"
            return self._heard
        self._heard.notes += [f"{user}; both read it now" for user in users]
        made = {name: make_tag(name, entry, self._table) for name, entry in self._entries.items()}
        inputs = [tag for tag in made.values() if tag.direction == "in"]
        outputs = [replace(tag, direction="in") for tag in made.values() if tag.direction == "out"]
        found = self._read(inputs) if inputs else {}
        self._heard.refused, self._refused = self._refused, {}
        self._heard.helps = [step for why in self._heard.refused.values() if (step := next_step(why, self._table))]
        if outputs and not self._heard.problem and self._table.gives_outputs_back:
            found |= self._read(outputs)
        self._heard.unshown = self._refused
        if not self._table.gives_outputs_back:
            self._heard.unshown |= {tag.name: "devices of this kind do not say what they were sent" for tag in outputs}
        for name, entry in self._entries.items():
            if name in found:
                view = TagView.of(found[name], self._name, entry.address)
                self._heard.tags.append(replace(view, direction=entry.direction))
        self._doubt([tag for tag in inputs if tag.name in found], found)
        self._note_time()
        return self._heard

    # --- reading ------------------------------------------------------------------------------------------------------

    def _read(self, tags: Sequence[Tag]) -> dict[str, TagValue]:
        """What the device gives of these, in halves where it refuses some."""
        self._reads += 1
        link = self._patient.make(self._name, tags, self._folder)
        link.start()
        try:
            is_there = _settled(link, [self._entries[tag.name].address for tag in tags])
            status = link.status()
            found = {value.tag.name: _as_told(value) for value in link.values() if value.age_ns is not None}
        finally:
            link.stop(safe=False)
        self._heard.took_ns = max(self._heard.took_ns, status.round_trip.max if status.round_trip.count else 0.0)
        missing = [tag for tag in tags if tag.name not in found]
        if not missing:
            return found
        if not is_there and self._reads == 1:
            self._heard.problem, self._heard.help = status.last_error, next_step(status.last_error, self._table)
        elif len(missing) == 1 or not is_there or self._reads >= MOST_READS:
            self._refused |= {tag.name: status.last_error for tag in missing}
        elif len(missing) < len(tags):
            found |= self._read(missing)
        else:
            half = len(missing) // 2
            found |= self._read(missing[:half]) | self._read(missing[half:])
        return found

    def _doubt(self, tags: Iterable[Tag], found: Mapping[str, TagValue]) -> None:
        """What is odd; of registers, with a look at those beside."""
        odd = {tag.name: tag for tag in tags if doubt(tag, found[tag.name].values, found[tag.name].raw)}
        looked = dict(list(odd.items())[:MOST_BESIDE])
        beside = {shift: self._beside(looked.values(), shift) for shift in (-1, 1)}
        for name, tag in odd.items():
            there = {shift: values[name].raw for shift, values in beside.items() if name in values}
            if why := doubt(tag, found[name].values, found[name].raw, there):
                self._heard.doubts[name] = why

    def _beside(self, tags: Iterable[Tag], shift: int) -> dict[str, TagValue]:
        moved = [other for tag in tags if (other := _moved(tag, shift)) is not None]
        with suppress(FieldbusError):  # there is no such place
            return self._read(moved) if moved else {}
        return {}

    def _note_time(self) -> None:
        """An exchange that takes longer than the station would wait."""
        took_ms = f"{self._heard.took_ns / 1e6:.3g} ms"
        if self._heard.took_ns > self._table.timeout_ns:
            self._heard.notes.append(f"an exchange took {took_ms}, longer than its timeout: it would be lost")
        elif 0 < self._io_ns < self._heard.took_ns:
            self._heard.notes.append(
                f"an exchange took {took_ms}, and task {self._task} waits {format_duration(self._io_ns)} for it (io_deadline): what "
                'comes later is used a cycle later, as stale; exchange = "own-thread" is for devices that take so long'
            )
        elif self._heard.took_ns > self._table.cycle_ns:
            self._heard.notes.append(f"an exchange took {took_ms}, longer than its cycle")


def _settled(link: Link, names: Sequence[str]) -> bool:
    """Wait until the link is up, or as good as it becomes; gives whether its device answers at all."""
    until_s = time.monotonic() + CONNECT_S + SILENCES * link.timeout_s
    degraded_s = math.inf
    lost: set[datetime] = set()
    while (now_s := time.monotonic()) < until_s:
        status = link.status()
        is_refusal = bool(_REFUSAL.search(status.last_error))
        match status.state:
            case "up":
                return True
            case "degraded":  # a "not now" may pass; a silence becomes a loss
                degraded_s = min(degraded_s, now_s)
                if is_refusal and now_s - degraded_s >= REFUSED_S:
                    return True
            case "down":
                if is_refusal and any(name in status.last_error for name in names):
                    return True  # who says that it has no such thing is there
                lost.add(status.since)
                if len(lost) >= TRIES or degraded_s < math.inf:
                    return False
        time.sleep(_POLL_S)
    return link.status().state == "degraded"


def _as_told(value: TagValue) -> TagValue:
    """What the device said, which is GOOD, also where its link believes nothing of it; without bytes and a number nothing was said."""
    tag, width = value.tag, len(value.raw) // value.tag.count
    if not width and any(map(math.isnan, value.values)):
        return value
    if tag.type == "bool" or not width:
        return replace(value, quality=Quality.GOOD)
    parts = (value.raw[i * width : (i + 1) * width] for i in range(tag.count))
    return replace(value, quality=Quality.GOOD, values=tuple(read(tag, part) for part in parts))


def _moved(tag: Tag, shift: int) -> Tag | None:
    """The same tag so many registers later; None: there is no such place."""
    there = tag.address.moved(shift) if tag.address else None
    return replace(tag, address=there) if there else None


def _users(table: DeviceLinkTable, tags: Iterable[TagTable]) -> Iterator[str]:
    """Which running stations have the device too."""
    named = False
    for station in running_stations():
        if not station.by.hears_us:
            continue
        with suppress(StationError):
            links = fetch_status(station.place).links
            if any(link.device == table.describe() for link in links):
                named = True
                yield f"station {station.name} has it too ({station.by})"
    as_outputs = [tag.model_copy(update={"direction": "out"}) for tag in tags]  # names are those of what is written to
    held = (holder("device", device) for device in table.device_names(as_outputs))
    by = next((one for one in held if one is not None), None)
    if by is not None and not named:
        yield f"a running station writes to it ({by})"
