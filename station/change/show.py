"""A change -> what symbols, `rt-engine status`, the live table and the report show of it."""

from __future__ import annotations

from plc_bindings.data.changes import ChangeView
from rt_engine.change import ChangeState
from station.change.parts import Change, Found


def view_of(change: Change, slot: str, version: int, found: Found, now_ns: int) -> ChangeView:
    """One slot's, at a moment of the monotonic clock. `version`: the one that is committed."""
    stand, candidate = change.stand, change.candidates[slot]
    span = {ChangeState.SHADOW: change.policy.shadow, ChangeState.TRIAL: change.policy.trial}.get(stand.state)
    left = max(span.ns - (now_ns - stand.since_ns), 0) if span is not None and span.ns else -1
    evidence = found.evidence
    return ChangeView(
        slot=slot,
        state=stand.state,
        version=change.version.get(slot, version) if stand.state == ChangeState.TRIAL else version,
        candidate=change.version.get(slot, 0),
        since=stand.since,
        reason=stand.why,
        differences=found.differences.get(slot, ()),
        file=candidate.name,
        sha256=candidate.sha256,
        change=str(change.number),
        who=change.who,
        left_ns=left,
        cycles=evidence.cycles,
        skipped=evidence.skipped,
        disagreements=evidence.disagreements,
        verdict=evidence.verdict,
        verdict_task=found.task,
        verdict_ns=found.tick_ns,
    )
