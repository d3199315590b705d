"""The drives of a bus: their memory beside the exchange, and what Python does with it.

The link gives their tags to the exchange like any others, and then:

    plan = drives.completed(plan)      virtual tags are as good as the slave's inputs, and go where its outputs go
    exchange.lay(plan); drives.lay()   from now on `drives_native` works between the tasks' outputs and the requests
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from fieldbus.errors import RefusedError
from fieldbus.ethercat.drives.cia402 import DriveState, Goal
from fieldbus.ethercat.drives.drive import (
    ENTRIES,
    VIRTUAL,
    VIRTUAL_INPUTS,
    VIRTUAL_OUTPUTS,
    Drive,
    DriveAddress,
    drive_tags,
)
from fieldbus.ethercat.drives.drive_block import DRIVE, NO_CELL
from fieldbus.ethercat.drives.drive_words import STATES, Shown, error_words, why_not
from fieldbus.ethercat.slaves.identity import WRONG_SLAVE
from fieldbus.exchange.memory import Exchange
from fieldbus.exchange.plan import Plan, Transaction
from fieldbus.tags import Tag
from rt_native.library import Library
from rt_native.memory import Block

__all__ = ["NATIVE", "DriveStatus", "Drives", "drive_tags"]

NATIVE: Final = Library("fieldbus.ethercat", modules=("fieldbus.ethercat.drives.drives_native",), apart=True)

_NS = 1_000_000_000
_LONGEST_CYCLES = 2
_SETTLED_NS = 100_000_000
"""So long after it was enabled nothing is said of how a drive follows."""
_CELLS: Final = {
    "statusword": "statusword_cell", "shown_mode": "shown_mode_cell", "position": "position_cell", "error_code": "error_cell",
    "controlword": "controlword_cell", "mode": "mode_cell", "sent": "wire_cell",
    "state": "state_cell", "fault": "fault_cell", "target": "target_cell", "enable": "enable_cell", "reset": "reset_cell",
}  # fmt: skip
"""Part of a drive -> the field of DRIVE that has its cell."""


@dataclass(frozen=True, slots=True)
class DriveStatus:
    """A drive at one moment. `why` says why it is not enabled, or does not do what it is told; empty: it does, or is not wanted."""

    name: str
    state: DriveState
    goal: Goal
    statusword: int
    controlword: int
    fault: int
    faults: int
    why: str

    @property
    def trouble(self) -> str:
        """The fault, or why: the same as long as nothing else has happened."""
        return f"fault {error_words(self.fault)}" if self.fault else self.why

    @property
    def words(self) -> str:
        """`x: switched on: it is in mode ...`."""
        return f"{self.name}: {self.why if self.fault else ': '.join(filter(None, (STATES[self.state], self.why)))}"


class Drives:
    """The drives of a link. `exchange` has been made with all their tags (`drive_tags`) among its cells.

    Args:
        cycle_s: how often the link exchanges.
    """

    def __init__(self, drives: Sequence[Drive], exchange: Exchange, cycle_s: float) -> None:
        self.drives = tuple(drives)
        self._exchange, self._step = exchange, NATIVE.address("drives_step") if drives else 0
        self._block = Block(DRIVE.itemsize * max(len(self.drives), 1))
        self._rows = self._block.view(DRIVE, 0, len(self.drives)) if self.drives else np.zeros(0, DRIVE)
        self._told: dict[str, str | None] = dict.fromkeys(drive.name for drive in self.drives)
        for drive, row in zip(self.drives, self._rows, strict=True):
            row["mode"], row["is_mode_checked"], row["max_rate"] = drive.number, drive.is_mode_checked, drive.max_rate
            row["handover_ns"], row["stop_ns"] = round(drive.handover_s * _NS), round(drive.stop_s * _NS)
            row["longest_ns"] = round(_LONGEST_CYCLES * cycle_s * _NS)
            row["state"], row["goal"], row["reset_tag"] = DriveState.NOT_READY, Goal.STOP, 1
            exchange.without_safe_value(drive.tag_name("target"))

    def is_optional(self, tag: Tag) -> bool:
        """May a plan be made without this tag: is it a drive's? What that cannot do without `completed` says."""
        mine = {drive.tag_name(part) for drive in self.drives for part in (*ENTRIES, "sent")}
        return isinstance(tag.address, DriveAddress) or tag.name in mine

    def completed(self, plan: Plan) -> Plan:
        """The plan with the virtual tags of drives at the transactions that bring, and take, what they are made of.

        Raises:
            RefusedError: the slave of a drive does not exchange what that needs.
        """
        inputs = {field.tag.name: i for i, t in enumerate(plan.transactions) for field in t.inputs}
        outputs = {field.tag.name: i for i, t in enumerate(plan.transactions) for field in t.outputs}
        virtual: dict[int, list[str]] = {}
        for drive in self.drives:
            if missing := [part for part in drive.needed if drive.tag_name(part) not in {*inputs, *outputs}]:
                raise RefusedError(_not_mapped(drive, missing), WRONG_SLAVE)
            here = virtual.setdefault(inputs[drive.tag_name("statusword")], [])
            here += [drive.tag_name(part) for part in VIRTUAL_INPUTS]
            there = virtual.setdefault(outputs[drive.tag_name("controlword")], [])
            there += [drive.tag_name(part) for part in VIRTUAL_OUTPUTS]
        changed: list[Transaction] = [
            replace(t, virtual=(*t.virtual, *virtual.get(i, ()))) for i, t in enumerate(plan.transactions)
        ]
        return replace(plan, transactions=tuple(changed))

    def lay(self) -> None:
        """Find everything in the plan that the exchange has been laid with; only while the exchange is the keeper's."""
        plan, exchange = self._exchange.plan, self._exchange
        assert plan is not None
        inputs = {field.tag.name: i for i, t in enumerate(plan.transactions) for field in t.inputs}
        mapped = {*inputs, *(field.tag.name for t in plan.transactions for field in t.outputs)}
        for drive, row in zip(self.drives, self._rows, strict=True):
            row["row"] = inputs[drive.tag_name("statusword")]
            for part, field in _CELLS.items():
                name = drive.tag_name(part)
                is_there = name in mapped or part in VIRTUAL
                row[field] = exchange.cell(name) if is_there else NO_CELL
        if self.drives:
            exchange.extend(drives=self._block.address, drive_count=len(self.drives), drives_step=self._step)

    def reset(self, name: str) -> None:
        """Have a drive reset its fault; raises `KeyError` if there is none of that name."""
        self._rows["reset_asked"][self._place(name)] = 1

    def _place(self, name: str) -> int:
        if name not in self._told:
            raise KeyError(name)
        return list(self._told).index(name)

    @property
    def are_at_work(self) -> bool:
        """Is a drive, as far as it is heard, enabled or braking? `Goal.LEAVE` ends that."""
        states = (DriveState.OPERATION_ENABLED, DriveState.QUICK_STOP_ACTIVE, DriveState.FAULT_REACTION_ACTIVE)
        return bool((np.isin(self._rows["state"], states) & (self._rows["is_heard"] != 0)).any())

    @property
    def longest_stop_s(self) -> float:
        """How long the slowest quick stop takes at most."""
        return max((drive.stop_s for drive in self.drives), default=0.0)

    def status(self) -> tuple[DriveStatus, ...]:
        """Every drive, now. Any thread."""
        return tuple(_status(drive, row) for drive, row in zip(self.drives, self._rows.copy(), strict=True))

    def words(self) -> str:
        """The drives that are not as they should be, for a link's note; empty: all are."""
        return "; ".join(status.words for status in self.status() if status.why)

    def news(self) -> list[tuple[str, bool]]:
        """What has changed since it was asked last: words for a log, and whether they are good news.

        Faults, and why a drive is not enabled; nothing before a drive was heard for the first time.
        """
        news: list[tuple[str, bool]] = []
        for status, row in zip(self.status(), self._rows, strict=True):
            before, now = self._told[status.name], status.trouble
            if now == before or (before is None and not row["is_heard"]):
                continue
            self._told[status.name] = now
            if now:
                news.append((f"drive {status.name}: {now}", False))
            elif before:
                news.append((f"drive {status.name}: {STATES[status.state]} again", True))
        return news


def _not_mapped(drive: Drive, parts: Sequence[str]) -> str:
    lacks = ", ".join(f"0x{drive.entry(part).object:04X} ({'target' if part == 'sent' else part})" for part in parts)
    can_do_without = not {"statusword", "controlword", "sent"} & {*parts} and not (
        drive.mode == "csp" and "position" in parts
    )
    or_less = f", or leave {', '.join(parts)} out of its inputs" if can_do_without else ""
    return (
        f"drive {drive.name!r}: slave {drive.slave!r} does not exchange {lacks}; "
        f"assign it PDOs that have them, with pdos in the slave's table{or_less}"
    )


def _status(drive: Drive, row: Any) -> DriveStatus:
    state, goal, fault = DriveState(int(row["state"])), Goal(int(row["goal"])), int(row["fault"])
    enabled_ns, statusword = int(row["enabled_ns"]), int(row["statusword"])
    shown = Shown(
        state,
        statusword,
        int(row["shown_mode"]) if drive.is_mode_checked else drive.number,
        fault,
        is_heard=bool(row["is_heard"]),
        is_settled=enabled_ns > 0 and int(row["before_ns"]) - enabled_ns >= _SETTLED_NS,
        is_reset=bool(row["reset_ns"]),
    )
    why = why_not(shown, goal, drive.number, bool(row["lacks_target"]))
    return DriveStatus(drive.name, state, goal, statusword, int(row["controlword"]), fault, int(row["faults"]), why)
