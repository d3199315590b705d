"""The gate's check "recording": a new version run over what was recorded, as the tasks would have run it."""

from __future__ import annotations

from rt_engine.gate.examine import RECORDING
from rt_engine.gate.job import Recorded
from rt_engine.gate.report import Check, Outcome
from rt_engine.model import Model


def check_recording(model: Model, recorded: Recorded, slot: str) -> Check:
    """What the model makes of the recorded inputs. Raises nothing for a recording that is bad: that is what the check says."""
    return Check(RECORDING, Outcome.FAILED, f"{recorded.path} cannot be replayed by this version")
