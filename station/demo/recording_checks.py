"""What the demo claims of what its station recorded: saved after the power cut, run again, with another network, explained.

Each claim is a pure function of facts that were read from the recordings (`station.demo.recorded`), as those of
`station.demo.checks`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from station.demo.checks import Check
from station.demo.facts import Look

NS: Final = 1_000_000_000
UNDER_WAY: Final = 1
"""The cycle in which the process died is not in its recording."""
SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Saved:
    """A task in the recording of a process that was killed: cycles `first` to `last`, of which `lost` are not there.

    `last_ns`: the tick of the last one, CLOCK_MONOTONIC.
    """

    first: int
    last: int
    lost: int
    last_ns: int


@dataclass(frozen=True, slots=True)
class Again:
    """A task that was run again. `equal`: of its `repeated` cycles so many gave the same bits; `left_out`: how many were not run, why.

    `at_tick`: is the tick that is of interest among the records?
    """

    task: str
    repeated: int
    equal: int
    seconds: float
    life_s: float
    at_tick: bool
    left_out: Mapping[str, int]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Otherwise:
    """One output with another network: `largest` from the recorded one, `beyond` the tolerance in so many of `compared` cycles."""

    output: str
    unit: str
    compared: int
    largest: float
    tolerance: float
    beyond: int


@dataclass(frozen=True, slots=True)
class Moved:
    """How much an input's value did to an output: `effect`, in the output's unit."""

    name: str
    value: float
    unit: str
    effect: float


@dataclass(frozen=True, slots=True)
class Reasons:
    """One output in one cycle, and which inputs moved it, the most first.

    `same`: did the run that was looked into give the bits of the cycle? `after_s`: so long after the event that is explained.
    """

    output: str
    unit: str
    value: float
    after_s: float
    same: bool
    moved: tuple[Moved, ...]


def saved_to_the_end(before: Look, saved: Mapping[str, Saved], killed_ns: int, gone_ns: int) -> Check:
    """Every task's cycles up to those that a look just before the kill counted, and not one missing between them.

    `killed_ns`, `gone_ns`: CLOCK_MONOTONIC when the kill was sent, and when the process was no more.
    """
    claim = "and has saved what they did until then, without a hole"
    names = [task.name for task in before.station.tasks]
    if absent := [name for name in names if name not in saved]:
        return Check(claim, False, f"nothing was saved of {', '.join(absent)}")
    ok, words = True, []
    for name in names:
        found, seen = saved[name], before.task(name).cycles
        ok &= found.lost == 0 and found.last + 1 >= seen - UNDER_WAY and found.last_ns <= gone_ns
        lost = f", {found.lost:,} missing" if found.lost else ""
        ms = max(killed_ns - found.last_ns, 0) / 1e6
        words.append(
            f"{name} {found.last - found.first + 1 - found.lost:,} cycles{lost}, the last {ms:.1f} ms before the kill"
        )
    return Check(claim, ok, "; ".join(words))


def same_bits(again: Sequence[Again]) -> Check:
    """Whatever of the recording can be repeated gave the same bits, in every task, and the tick of interest is in it."""
    claim = "what they did around the trial is run again: the same bits in every cycle"
    if failed := next((one for one in again if one.why), None):
        return Check(claim, False, f"{failed.task}: {failed.why}")
    repeated, seconds = sum(one.repeated for one in again), sum(one.seconds for one in again)
    if not repeated:
        return Check(claim, False, "no cycle could be run again")
    differ = repeated - sum(one.equal for one in again)
    at_tick = any(one.at_tick for one in again)
    ok = not differ and at_tick and all(one.repeated for one in again)
    speed = max(one.life_s for one in again) / seconds if seconds > 0 else math.inf
    words = [
        f"{repeated:,} cycles of {', '.join(one.task for one in again)} in {seconds * 1000:.0f} ms, {speed:,.0f} times life"
    ]
    words += [f"{differ:,} differ"] if differ else []
    words += [
        "the tick in which the trial ended is among them" if at_tick else "the tick in which the trial ended is not"
    ]
    left_out: Counter[str] = sum((Counter(one.left_out) for one in again), Counter())
    words += [f"{count:,} cycles not repeated: {why}" for why, count in left_out.items()]
    return Check(claim, ok, "; ".join(words))


def would_have_differed(found: Otherwise | str, network: str) -> Check:
    """Over the recorded inputs the other network's output lies beyond the tolerance; a `str` says why it could not be tried."""
    claim = f"what {network} would have done in the push is known without trying it on the machine"
    if isinstance(found, str):
        return Check(claim, False, found)
    ok = found.compared > 0 and found.beyond > 0 and found.largest > found.tolerance
    apart = f"{found.output} up to {found.largest:.2f} {found.unit} from what it was"
    beyond = f"beyond {found.tolerance:g} {found.unit} in {found.beyond:,} of {found.compared:,} cycles"
    return Check(claim, ok, f"{apart}, {beyond}")


def explained(found: Reasons | str) -> Check:
    """The run that was looked into gave the bits of the cycle, and some input moved the output; a `str` says why there is none."""
    claim = "which input moved the force most in the push is known"
    if isinstance(found, str):
        return Check(claim, False, found)
    best = found.moved[:SHOWN]
    ok = found.same and bool(best) and math.isfinite(best[0].effect) and best[0].effect != 0
    words = ", ".join(f"{one.name} = {one.value:.3g} {one.unit} ({one.effect:+.2f} {found.unit})" for one in best)
    not_same = "" if found.same else "; it is not what was recorded"
    at = f"{found.after_s * 1000:.0f} ms after it {found.output} was {found.value:+.2f} {found.unit}"
    return Check(claim, ok, f"{at}, moved by {words or 'nothing'}{not_same}")
