"""Chosen by measurement: in which pieces the records of a model are quickest on this machine, all with the same bits.

    program --alternatives--> versions of its records --rounds--> times --choose--> pieces --`run.chosen`--> looked up at load

`tune(model)` takes seconds; nothing else measures: neither a load nor an update of a running station.
"""

from rt_engine.tune.tuning import Tuned, tune

__all__ = ["Tuned", "tune"]
