"""The gate's worker of a station: as `rt_engine.gate.worker`, and it can run a model over a recording."""

from rt_engine.gate.job import Recorded
from rt_engine.gate.report import Check
from rt_engine.gate.worker import main
from rt_engine.model import Model


def over(model: Model, recorded: Recorded) -> Check:
    """The check; what it needs is imported when it is wanted."""
    from station.replay.gate_check import check_recording

    return check_recording(model, recorded)


if __name__ == "__main__":
    main(over)
