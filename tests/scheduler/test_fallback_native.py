"""A version on trial that another task finds bad, in a task that only falls back on it, or runs it in late cycles."""

import math

import pytest

from rt_engine.change import Verdict
from rt_engine.slot_change import SlotChange
from scheduler import Fallback, OnLate
from tests.scheduler.versions import TEMPLATE, Run, Trial, Versions

BAD_RUN = 3
"""The new version's run during which another task finds it bad."""


def no_number(run: Run) -> None:
    run.y[0] = math.nan


def trial_of_the_other(every: int, other: str) -> list[float]:
    """What a task publishes that has only what its other slot computes: 1000 * version + the number of the run."""
    changes: list[SlotChange] = []

    def number(run: Run) -> None:
        run.y[0], run.free[0] = 1000 * run.version + run.count, 0.0
        if run.version == 2 and run.count == BAD_RUN:
            changes[0]._words._fields["verdict"] = Verdict.TOO_SLOW

    instead = Versions(number, number)
    fallback = {"fallback": Fallback(use=instead)} if other == "fallback" else {"on_late": OnLate(model=instead)}
    trial = Trial(Versions(no_number), every=every, **fallback)
    trial.runners[0]._reader.context._fields["needs_ns"] = 10**9  # type: ignore[union-attr]
    changes.append(SlotChange({instead: TEMPLATE}))

    def step(name: str) -> None:
        for runner in trial.runners:
            runner.pick_versions(False)
        changes[0].trial()
        for runner in trial.runners:
            runner.pick_versions(True)

    trial.step = step  # type: ignore[method-assign]
    trial.run(every * 8, {2 * every: "trial"})
    return trial.values()


@pytest.mark.parametrize("other", ["fallback", "on_late"])
@pytest.mark.parametrize("every", [1, 4])
def test_nothing_is_published_of_it_any_more(every: int, other: str) -> None:
    """In that tick outputs are held; from the next on they are the old version's, also between two turns."""
    published = trial_of_the_other(every, other)
    versions = [value // 1000 for value in published]
    bad = versions.index(2) + every * BAD_RUN
    assert versions[: versions.index(2)] == [1] * versions.index(2)
    assert published[bad - every : bad + 1] == [2000 + BAD_RUN - 1] * (every + 1)
    assert versions[bad + 1 :] == [1] * (len(published) - bad - 1)
