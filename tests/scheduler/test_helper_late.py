"""A run that a late helper ended: its states are those of before, and no version is blamed for it."""

from rt_engine import Context, Model
from rt_engine.run.kept import keep_states
from rt_engine.status import Status
from tests.scheduler.versions import Compute, Run, Trial, Versions, tells


class KeptVersions(Versions):
    """Versions with room for their states, as a task with helpers makes it."""

    def _script(self, model: Model, context: Context) -> None:
        super()._script(model, context)
        keep_states(context)


def late_at(count: int) -> Compute:
    """`tells`, but that a helper is late in run number `count`, when the state has moved already."""

    def compute(run: Run) -> int | None:
        tells(run)
        return int(Status.HELPER_LATE) if run.count == count else None

    return compute


def test_states_are_those_of_before() -> None:
    trial = Trial(KeptVersions(late_at(3)), threads=2)
    trial.run(6)
    assert trial.values() == [1001.0, 1002.0, 1003.0, -1.0, 1004.0, 1005.0]


def test_a_shadow_whose_helper_is_late_is_skipped_once() -> None:
    trial = Trial(KeptVersions(tells, late_at(2)), threads=2)
    trial.run(8, {1: "shadow"})
    second = trial.runners[0].second()
    assert second is not None and (second.failed, second.skipped) == (0, 1)


def test_a_version_on_trial_is_not_condemned() -> None:
    trial = Trial(KeptVersions(tells, late_at(5)), threads=2)
    trial.run(10, {1: "shadow", 4: "trial"})
    assert trial.change is not None and trial.change.fate is None
    assert trial.values().count(-1.0) == 1 and trial.values()[-1] > 2000
