"""The monitor, the fallback and the smaller model of a station file become those of its task; what does not fit is named."""

import pytest

from rt_engine import contract
from scheduler.envelope import Envelope
from station.errors import StationFileError
from station.file.reading import read_station
from station.wiring.parts import build
from tests.station.stations import AXIS, SIM, gemm, station_text, write_station

OTHERS = '[models.simple]\nfile = "simple.onnx"\n'
ENVELOPE = '[tasks.axis.monitor]\nmodel = "envelope"\nquantile = 0.99\n'
FALLBACK = '[tasks.axis.fallback]\nuse = "slot:simple"\nblend = "5 ms"\n'
LATE = '[tasks.axis.on_late]\nmodel = "simple"\nneeds = "300 us"\n'
STATISTICS = contract.Statistics(
    "x", 100, (1.0, 3.0), (0.5, 0.5), (0.0, 2.0), (2.0, 4.0), {0.01: (0.1, 2.1), 0.99: (1.9, 3.9)}
)


def parts(folder, *tables, simple=2, statistics=True):
    path = write_station(folder, station_text("bench", OTHERS, SIM, AXIS, *tables))
    gemm(folder / "simple.onnx", simple)
    if statistics:
        contract.attach(folder / "mean.onnx", contract.Contract(statistics=(STATISTICS,)))
    return build(read_station(path))


def test_a_task_has_what_its_tables_say(tmp_path):
    built = parts(tmp_path, ENVELOPE, FALLBACK, LATE)
    (task,) = built.tasks
    assert task.monitor is not None
    assert (task.monitor.model, task.monitor.limit) == (Envelope(0.99), 1.5)
    assert task.fallback is not None
    assert (task.fallback.use, task.fallback.blend_s, task.fallback.hold_at_most_s) == (
        built.slots["simple"],
        0.005,
        None,
    )
    assert task.on_late is not None
    assert (task.on_late.model, task.on_late.needs_s, task.on_late.reserve_s) == (built.slots["simple"], 0.0003, 0.0)


CASES = {
    "no statistics": (
        (ENVELOPE, FALLBACK),
        {"statistics": False},
        "carries no statistics of its training data; write them",
    ),
    "no such quantile": ((ENVELOPE.replace("0.99", "0.9"), FALLBACK), {}, "has no quantile 0.1; it has 0.01, 0.99"),
    "another interface": ((FALLBACK,), {"simple": 3}, r"fallback: its model's inputs are \(x: float32\[1, 3\]\)"),
    "another interface of the smaller one": ((LATE,), {"simple": 1}, "on_late: its model's inputs are"),
}


@pytest.mark.parametrize(("tables", "more", "words"), CASES.values(), ids=CASES)
def test_what_does_not_fit_is_named(tmp_path, tables, more, words):
    with pytest.raises(StationFileError, match=words):
        parts(tmp_path, *tables, **more)
