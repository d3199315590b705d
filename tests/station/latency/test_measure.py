"""A measurement from its plan to its result: short ones, on this machine."""

import json
import os
import threading

import pytest

from station.latency import measure
from station.latency.benches import of_model, of_nothing, of_station
from station.latency.loading import named
from station.latency.measure import Measurement, Plan
from station.latency.result import KINDS, read, to_json
from station.latency.turns import Cyclictest
from tests import ROOT
from tests.station.stations import STATION, gemm

POLICY = ROOT / "station" / "demo" / "data" / "policy-v1.onnx"
CPU = min(os.sched_getaffinity(0))


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(measure, "WARM_S", 0.05)


def ran(subject, least):
    """Had it more ticks than that, each with a cycle but those for which the machine stood still?"""
    return subject.cycles > 0 and subject.cycles + subject.missed > least


def test_what_was_measured(monkeypatch, tmp_path):
    """Every interval of every turn has its cycles; the file of a run that is not over says so; loads and rights are told."""
    monkeypatch.setattr(measure, "WRITE_EVERY_S", 0.0)
    told, partial = [], []

    def show(progress):
        told.append(progress)
        if (tmp_path / "a.json").exists():
            partial.append(json.loads((tmp_path / "a.json").read_text())["complete"])

    plan = Plan((of_nothing([CPU], 1_000_000),), 2.4, tuple(named("timer")), json=tmp_path / "a.json")
    found = Measurement(plan, show).run()
    [subject] = found.subjects
    assert found.complete
    assert partial
    assert not any(partial)
    assert not read(tmp_path / "a.json").complete
    assert subject.cycles == sum(int(s.cycles.sum()) for s in subject.stretches)
    assert ran(subject, 500)
    assert subject.spreads["reaction"].max == subject.maxima().max() == subject.longest[0].reaction_ns
    assert all(subject.spreads[kind].count == subject.cycles for kind in KINDS)
    assert all(found.started <= s.began <= found.ended for s in subject.stretches)
    assert [loaded.name for loaded in found.loads] == ["timer"]
    assert any(right["name"].startswith("SCHED_FIFO") for right in found.rights)
    assert found.machine
    assert found.sources
    assert to_json(found)
    assert told[-1].longest_ns > 0


def test_it_ends_early_with_what_there_is():
    """Asked from another thread, while it waits."""

    def show(progress):
        if progress.longest_ns:
            threading.Timer(0.1, asked.request_stop).start()

    asked = Measurement(Plan((of_nothing([CPU], 1_000_000),), 60.0), show)
    found = asked.run()
    assert found.measured_s < 20
    assert "ended early, on request" in found.notes[-1]
    assert found.subjects[0].cycles > 0


def test_a_station_is_measured_and_its_device_left_alone(tmp_path):
    """Whoever asked the device, or sent to it, would run its file, and leave a trace."""
    gemm(tmp_path / "mean.onnx", 2)
    (tmp_path / "station.toml").write_text(STATION)
    (tmp_path / "device.py").write_text(
        f"open({str(tmp_path / 'asked')!r}, 'w')\ndef device(outputs):\n    return {{}}\n"
    )
    bench = of_station(tmp_path / "station.toml")
    found = Measurement(Plan((bench,), 2.0)).run()
    assert not (tmp_path / "asked").exists()
    [subject] = found.subjects
    assert (subject.name, subject.about) == ("axis", "model mean.onnx")
    assert ran(subject, 100)
    assert "no device was asked or driven" in found.notes[0]
    assert not any("did not become live" in note for note in found.notes)


def test_models_have_turns_of_their_own(tmp_path):
    """Two models, each measured alone."""
    from rt_engine.binding import Binding

    other = gemm(tmp_path / "mean.onnx", 2)
    benches = tuple(of_model(path, Binding({}, {}, {}, {}), CPU, 1_000_000) for path in (POLICY, other))
    found = Measurement(Plan(benches, 2.4)).run()
    assert [s.name for s in found.subjects] == ["policy-v1", "mean"]
    assert all(ran(subject, 100) for subject in found.subjects)


@pytest.mark.peer("cyclictest")
def test_cyclictest_has_its_turn(monkeypatch):
    """On the same core; where it may not be real-time it says so, and we go on."""
    monkeypatch.setattr(measure, "order", lambda *_: lambda turn: -1 if turn == 1 else 0)
    peer = Cyclictest.found([CPU], 1_000_000, 80)
    found = Measurement(Plan((of_nothing([CPU], 1_000_000),), 4.0, peer=peer)).run()
    said = [note for note in found.notes if note.startswith("cyclictest")]
    assert said or found.peers[0].spread.count > 500
    assert ran(found.subjects[0], 500)
