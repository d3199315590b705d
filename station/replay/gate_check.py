"""The gate's check "recording": a new version run over what was recorded, as the tasks would have run it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rt_engine.errors import EngineError
from rt_engine.gate.examine import RECORDING
from rt_engine.gate.job import Recorded
from rt_engine.gate.report import NONE_YET, Check, Outcome
from rt_engine.model import Model
from rt_engine.recording.recording import open as open_recording
from scheduler.errors import SchedulerError
from station.errors import StationError
from station.replay.asking import Asked, ask
from station.replay.judging import judged
from station.replay.whatif import WhatIf
from station.terms.counting import many

SHOWN: Final = 3
FILES: Final = "*.mcap"


def check_recording(model: Model, recorded: Recorded) -> Check:
    """What the model makes of the recorded inputs. Raises nothing for a recording that is bad: that is what the check says."""
    path = Path(recorded.path)
    try:
        if path.is_dir() and next(path.glob(FILES), None) is None:
            return Check(RECORDING, Outcome.SKIPPED, f"there is none yet in {path}", {NONE_YET: 1.0})
        asked = Asked(
            slot=recorded.slot or None,
            tolerance=recorded.tolerance,
            tolerances=recorded.tolerances,
            disagreements=recorded.disagreements,
            most_s=recorded.most_s,
            folders=tuple(map(Path, recorded.folders)),
            steps=Path(recorded.steps) if recorded.steps else None,
        )
        return check_of(ask(open_recording(path), asked).run(model), path.name)
    except OSError as error:
        return Check(RECORDING, Outcome.FAILED, f"{path} cannot be read: {error.strerror or error}")
    except (EngineError, SchedulerError, StationError) as error:
        return Check(RECORDING, Outcome.FAILED, f"{path.name}: {error}")


def check_of(found: Sequence[WhatIf], name: str) -> Check:
    """The check of what was compared, of all tasks."""
    remarks = [(one, remark) for one in found for remark in judged(one)]
    wrong = [f"task {one.terms.task}: {remark.text}" for one, remark in remarks if remark.level == "bad"]
    figures = {
        "cycles": sum(one.cycles for one in found),
        "recorded_cycles": sum(one.recorded for one in found),
        "compared_cycles": sum(one.compared for one in found),
        "values_beyond_tolerance": sum(one.beyond for one in found),
        "values_not_finite": sum(one.not_finite for one in found),
        "values_outside_contract": sum(one.outside for one in found),
        "worst_of_tolerance": max((_of_tolerance(one) for one in found), default=0.0),
    }
    numbers = {key: float(value) for key, value in figures.items()}
    if wrong:
        more = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        said = f"{'; '.join(wrong[:SHOWN])}{more}; {_how_many(found, name)}"
        return Check(RECORDING, Outcome.FAILED, said, numbers)
    told = [f"task {one.terms.task}: {remark.text}" for one, remark in remarks if remark.level == "warn"]
    told += [note for one in found for note in one.notes]
    beside = "".join(f"; {text}" for text in dict.fromkeys(told[: SHOWN + 1]))
    return Check(RECORDING, Outcome.PASSED, f"{_how_many(found, name)}: {_well(found)}{beside}", numbers)


def _how_many(found: Sequence[WhatIf], name: str) -> str:
    """`12,000 of 86,400 cycles of axis, press in press-7.mcap`."""
    cycles, recorded = (sum(getattr(one, what) for one in found) for what in ("cycles", "recorded"))
    tasks = ", ".join(one.terms.task for one in found)
    of = "" if cycles == recorded else f"{cycles:,} of "
    return f"{of}{many(recorded, 'cycle')} of {tasks} in {name}"


def _well(found: Sequence[WhatIf]) -> str:
    if all(one.is_equal for one in found):
        return "the same bits as recorded"
    is_judged = any(output.terms.tolerance is not None for one in found for output in one.outputs)
    share = max((_of_tolerance(one) for one in found), default=0.0)
    within = f", at most {share:.0%} of the tolerance apart" if is_judged else ""
    return f"every output is finite and within its limits{within}"


def _of_tolerance(found: WhatIf) -> float:
    """The largest difference, as a part of its tolerance."""
    shares = [one.largest / one.terms.tolerance for one in found.outputs if one.terms.tolerance]
    return max(shares, default=0.0)
