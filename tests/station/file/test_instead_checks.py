"""What a station file may say of a task's monitor, fallback and smaller model."""

import pytest

from station.errors import StationFileError
from station.file.reading import read_station
from tests.station.stations import AXIS, SIM, station_text, write_station

OTHERS = '[models.simple]\nfile = "mean.onnx"\n\n[models.ood]\nfile = "mean.onnx"\n'
FALLBACK = '[tasks.axis.fallback]\nuse = "slot:simple"\n'


def read(folder, *tables, first=OTHERS):
    return read_station(write_station(folder, station_text("bench", first, SIM, AXIS, *tables)))


def test_all_keys(tmp_path):
    """Durations, the name of a slot, a plain string for `on_late`; the envelope has a usual limit."""
    monitor = '[tasks.axis.monitor]\nmodel = "ood"\nlimit = 3.5\ndelay = "20 ms"\nhysteresis = 0.5\noutput = "y"\n'
    fallback = '[tasks.axis.fallback]\nuse = "hold"\nhold_at_most = "2 s"\nblend = "50 ms"\n'
    late = '[tasks.axis.on_late]\nmodel = "simple"\nneeds = "300 us"\nreserve = "50 us"\n'
    task = read(tmp_path, monitor, fallback, late).config.tasks["axis"]
    assert task.monitor is not None
    assert (task.monitor.limit_or_usual, task.monitor.delay_ns, task.monitor.hysteresis) == (3.5, 20_000_000, 0.5)
    assert task.fallback is not None
    assert (task.fallback.use, task.fallback.hold_at_most_ns, task.fallback.blend_ns) == ("hold", 2 * 10**9, 50_000_000)
    assert task.on_late is not None
    assert (task.on_late.model, task.on_late.needs_ns, task.on_late.reserve_ns) == ("simple", 300_000, 50_000)
    envelope = read(tmp_path, '[tasks.axis.monitor]\nmodel = "envelope"\n', FALLBACK).config.tasks["axis"].monitor
    assert envelope is not None
    assert envelope.limit_or_usual == 1.5


CASES = {
    "no such monitor": ('[tasks.axis.monitor]\nmodel = "odd"\nlimit = 1\n', 'unknown model "odd"'),
    "no limit": ('[tasks.axis.monitor]\nmodel = "ood"\n', 'needs the key "limit"'),
    "quantile of a model": ('[tasks.axis.monitor]\nmodel = "ood"\nlimit = 1\nquantile = 0.99\n', "model ood has none"),
    "output of the envelope": ('[tasks.axis.monitor]\nmodel = "envelope"\noutput = "y"\n', '"envelope" has none'),
    "no time": ('[tasks.axis.monitor]\nmodel = "ood"\nlimit = 1\ndelay = 5\n', "5 is no duration"),
}


@pytest.mark.parametrize(("text", "words"), CASES.values(), ids=CASES)
def test_mistakes_of_a_monitor_are_named_at_their_line(tmp_path, text, words):
    with pytest.raises(StationFileError) as caught:
        read(tmp_path, text, FALLBACK)
    (problem,) = caught.value.problems
    assert words in problem.message
    assert problem.line > 5


USES = {
    "no such slot": ('use = "slot:plain"', 'unknown model "plain"'),
    "a model without slot": ('use = "simple"', 'for the model of that name write "slot:simple"'),
    "a word": ('use = "stop"', 'is none of "slot:NAME", "step", "hold", "safe"'),
    "no step": ('use = "step"', "the task has no step"),
}


@pytest.mark.parametrize(("text", "words"), USES.values(), ids=USES)
def test_mistakes_of_a_fallback_are_named(tmp_path, text, words):
    with pytest.raises(StationFileError) as caught:
        read(tmp_path, f"[tasks.axis.fallback]\n{text}\n")
    (problem,) = caught.value.problems
    assert words in problem.message


def test_a_model_that_is_called_envelope_is_told_to_take_another_name(tmp_path):
    with pytest.raises(StationFileError, match="give the model of that name"):
        read(
            tmp_path, '[tasks.axis.monitor]\nmodel = "envelope"\n', FALLBACK,
            first=OTHERS + '\n[models.envelope]\nfile = "mean.onnx"\n',
        )  # fmt: skip


def test_what_has_no_effect_is_a_warning(tmp_path):
    """A monitor without a fallback only counts; `hold_at_most` is of a hold."""
    (warning,) = read(tmp_path, '[tasks.axis.monitor]\nmodel = "envelope"\n').warnings
    assert "it only counts, and ends a trial: without [tasks.axis.fallback]" in warning.message
    (warning,) = read(tmp_path, '[tasks.axis.fallback]\nuse = "safe"\nhold_at_most = "1 s"\n').warnings
    assert "has no effect" in warning.message


def test_no_such_smaller_model(tmp_path):
    text = AXIS.replace('model = "mean"', 'model = "mean"\non_late = "smal"')
    with pytest.raises(StationFileError, match='unknown model "smal"'):
        read_station(write_station(tmp_path, station_text("bench", OTHERS, SIM, text)))
