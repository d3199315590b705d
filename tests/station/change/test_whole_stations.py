"""Changes in whole stations on disk: tasks run, a device takes what they publish, a store keeps what became of it.

The device gives the inputs 1 and 3; the model `mean` makes 2 of them, `twice` 4. What a version that was found bad computed must
never reach the device.
"""

import contextlib

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import rt_engine
from rt_engine import slot_change
from rt_engine.change import ChangeState as S
from rt_engine.change import Verdict
from rt_engine.contract import Contract, attach
from rt_engine.contract.terms import Element, TensorContract
from rt_engine.errors import UpdateError
from station.change.answer import Wish
from station.change.gate import StationGate
from station.change.machine import Span
from station.errors import RefusedError
from station.file.reading import read_station
from station.running.station import Station
from station.show.report import to_html, to_json
from station.store.starting import kept_in
from tests.station.stations import AXIS, SIM, gemm, write_station
from tests.waiting import wait_for

SLOW = AXIS.replace('cycle = "1 ms"', 'cycle = "10 ms"')
SHADOW = 'shadow = "20 cycles"\n'
TRIAL = 'trial = "20 cycles"\n'
TOLERANCE = "tolerance = 0.01\n"
TWO = """\
[tags]
a = {}
b = {}
force = { direction = "out", low = -10, high = 10, safe = -1 }
other = { direction = "out", low = -10, high = 10, safe = -1 }

[tasks.axis]
model = "mean"
cycle = "10 ms"
inputs = ["a", "b"]
outputs = ["force"]

[tasks.second]
model = "copy"
cycle = "10 ms"
inputs = ["a", "b"]
outputs = ["other"]
"""
BOTH = """\
received = []

def device(outputs):
    received.append((outputs["force"], outputs["other"]))
    return {"a": INPUT[0], "b": 3.0}

INPUT = [1.0]
"""
SWITCHED = """\
received = []
INPUT = [1.0]

def device(outputs):
    received.append(outputs["force"])
    return {"a": INPUT[0], "b": 3.0}
"""


def text(change, *tables, more=""):
    return (
        f'[station]\nname = "bench"\n\n[models.mean]\nfile = "mean.onnx"\n\n[models.mean.change]\n{change}\n{more}'
        + "\n".join(tables or (SIM, SLOW))
    )


@pytest.fixture
def real_gate():
    """The gate of `start` examines."""


@pytest.fixture
def start(tmp_path, monkeypatch, request):
    """Start a station with a store; `start(change)` again is the next start of the same one. Most have a gate that only loads."""
    if "real_gate" not in request.fixturenames:
        monkeypatch.setattr(StationGate, "examine", only_loaded)
    with contextlib.ExitStack() as stack:

        def begin(change, *tables, device=SWITCHED, more=""):
            path = write_station(tmp_path, text(change, *tables, more=more))
            (tmp_path / "device.py").write_text(device)
            gemm(tmp_path / "same.onnx", 2, 1.0 + 1e-6)
            gemm(tmp_path / "near.onnx", 2, 1.05)
            breaking(tmp_path / "breaking.onnx")
            running = stack.enter_context(contextlib.ExitStack())
            file = read_station(path)
            kept = running.enter_context(kept_in(tmp_path / "store"))
            station = Station(file, kept)
            running.enter_context(station)
            station.ends = running.close
            return station

        yield begin


def only_loaded(gate, candidate, kept):
    candidate.model = rt_engine.load(candidate.read)


def breaking(path):
    """The mean of both inputs, and NaN where the first one is above 5: sqrt(5 - a) * 0 + mean."""
    a = numpy_helper.from_array(np.array([[1.0], [0.0]], np.float32), "first")
    w = numpy_helper.from_array(np.full((2, 1), 0.5, np.float32), "w")
    five, zero = (numpy_helper.from_array(np.array([[v]], np.float32), n) for v, n in ((5.0, "five"), (0.0, "zero")))
    nodes = [
        helper.make_node("MatMul", ["x", "first"], ["a"]),
        helper.make_node("Sub", ["five", "a"], ["left"]),
        helper.make_node("Sqrt", ["left"], ["root"]),
        helper.make_node("Mul", ["root", "zero"], ["nothing"]),
        helper.make_node("MatMul", ["x", "w"], ["mean"]),
        helper.make_node("Add", ["mean", "nothing"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])
    graph = helper.make_graph(nodes, "mean", [x], [y], [a, w, five, zero])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def device(station):
    return station._parts.links["sim"]._device.__globals__


def state(station, slot="mean"):
    return next(view for view in station.changes.views() if view.slot == slot)


def until(station, wanted, slot="mean"):
    wait_for(lambda: state(station, slot).state == wanted)
    with station.changes._lock:  # who took it there has told of it by now
        return state(station, slot)


def live(station, value):
    wait_for(lambda: device(station)["received"][-1:] == [value])


def test_a_good_version_goes_through_shadow_and_trial_and_runs_after_a_restart(real_gate, start, tmp_path):
    """Each state is shown while it lasts; the store has the file, the report and the states."""
    station = start(SHADOW + TRIAL + TOLERANCE)
    live(station, 2.0)
    updated = station.update("mean", tmp_path / "same.onnx")
    assert updated.state == S.SHADOW
    view = until(station, S.COMMITTED)
    assert (view.version, view.disagreements, view.file) == (2, 0, "same.onnx")
    assert view.cycles >= 20
    assert 0 < view.largest.largest < 1e-4
    assert station.snapshot().tasks[0].model_version == 2
    texts = [event.text for event in station.diary.events if event.kind == "update"]
    assert [text.partition(":")[0] for text in texts[-3:]] == [
        "same.onnx is in shadow",
        "same.onnx is on trial",
        "same.onnx is committed",
    ]
    assert "Changes of models" in to_html(station.report())
    assert '"same.onnx"' in to_json(station.report())
    station.ends()
    again = start(SHADOW + TRIAL + TOLERANCE)
    assert "same.onnx" in again.snapshot().models["mean"]


def test_a_version_that_is_subtly_different_is_rejected_in_shadow_with_figures(start, tmp_path):
    """The device has seen nothing of it; the page shows how far it lay apart; the same file is refused from then on."""
    station = start(SHADOW + TRIAL + TOLERANCE)
    live(station, 2.0)
    station.update("mean", tmp_path / "near.onnx")
    view = until(station, S.REJECTED)
    assert view.largest.largest == pytest.approx(0.1, rel=1e-3)
    assert "force lay up to 0.1 apart (tolerance 0.01; " in view.reason
    assert set(device(station)["received"]) <= {-1.0, 0.0, 2.0}
    assert "near.onnx was rejected" in " ".join(remark.text for remark in station.report().remarks)
    assert "force: how far apart" in to_html(station.report())
    with pytest.raises(
        RefusedError, match=r"this version is barred: .*; `rt-engine allow mean [0-9a-f]{12}` lets it come again"
    ):
        station.update("mean", tmp_path / "near.onnx")
    station.changes.allow("mean", view.sha256[:12], "anna")
    assert station.update("mean", tmp_path / "near.onnx").state == S.SHADOW


def test_not_a_number_in_trial_is_taken_back_in_its_tick(start, tmp_path):
    """The old version's outputs of that same tick are published: the device sees no NaN, nothing held, nothing safe."""
    station = start('trial = "1 h"')
    live(station, 2.0)
    station.update("mean", tmp_path / "breaking.onnx")
    live(station, 2.0)
    held = station.snapshot().tasks[0].unlive
    device(station)["INPUT"][0] = 7.0
    view = until(station, S.ROLLED_BACK)
    live(station, 5.0)
    assert (view.verdict, view.verdict_task, view.version) == (Verdict.NOT_FINITE, "axis", 1)
    assert view.verdict_ns > 0
    assert "its outputs were not finite (NaN or infinity); its outputs of that tick were not published" in view.reason
    assert not any(np.isnan(value) for value in device(station)["received"])
    wait_for(lambda: set(device(station)["received"][-5:]) == {5.0})
    assert station.snapshot().tasks[0].unlive == held
    assert station.snapshot().models["mean"] == "mean.onnx"


@pytest.mark.parametrize("word", [True, False])
def test_a_trial_that_waits_for_a_word(start, tmp_path, word):
    """Manual: committed by somebody's word, else rolled back when the time is over."""
    station = start(('trial = "1 h"\n' if word else TRIAL) + 'commit = "manual"')
    station.update("mean", tmp_path / "twice.onnx")
    wait_for(lambda: 4.0 in device(station)["received"])
    if word:
        assert station.changes.commit("mean", "anna") == "twice.onnx is committed; live: mean v2"
        live(station, 4.0)
    else:
        assert "nobody said commit within 20 cycles" in until(station, S.ROLLED_BACK).reason
        live(station, 2.0)


def test_a_committed_version_goes_back_within_a_tick(start, tmp_path):
    """Its file is read by nobody again."""
    station = start("")
    live(station, 2.0)
    assert station.update("mean", tmp_path / "twice.onnx").state == S.COMMITTED
    live(station, 4.0)
    (tmp_path / "mean.onnx").unlink()
    assert "twice.onnx is rolled back; live: mean v1" in station.changes.roll_back("mean", "anna")
    live(station, 2.0)


@pytest.mark.parametrize("bad", ["mean", "copy"])
def test_a_set_in_which_one_is_bad_goes_back_as_one(start, tmp_path, bad):
    """One tick, one fate: the good one's task is back too."""
    more = '[models.copy]\nfile = "mean.onnx"\n\n'
    station = start("", SIM, TWO, device=BOTH, more=more)
    wait_for(lambda: device(station)["received"][-1:] == [(2.0, 2.0)])
    files = {slot: tmp_path / ("breaking.onnx" if slot == bad else "twice.onnx") for slot in ("mean", "copy")}
    assert station.changes.update(files, "anna", Wish(trial=Span(ns=10**12))).state == S.TRIAL
    both = (2.0, 4.0) if bad == "mean" else (4.0, 2.0)
    wait_for(lambda: device(station)["received"][-1:] == [both])
    device(station)["INPUT"][0] = 7.0
    assert until(station, S.ROLLED_BACK, "mean").verdict == Verdict.NOT_FINITE
    assert until(station, S.ROLLED_BACK, "copy").change == state(station, "mean").change
    wait_for(lambda: device(station)["received"][-1:] == [(5.0, 5.0)])
    assert not np.isnan(device(station)["received"]).any()


@pytest.mark.parametrize(("change", "end"), [('shadow = "1 h"', S.REJECTED), ('trial = "1 h"', S.ROLLED_BACK)])
def test_a_station_that_stops_takes_it_back(start, tmp_path, change, end):
    """And says so; the next start runs the old one, and the version may come again."""
    station = start(change)
    station.update("mean", tmp_path / "twice.onnx")
    station.ends()
    assert state(station).state == end
    assert "the station stopped while it was" in [e.text for e in station.diary.events if e.kind == "update"][-1]
    again = start(change)
    live(again, 2.0)
    assert again.update("mean", tmp_path / "twice.onnx").state in (S.SHADOW, S.TRIAL)


def test_a_version_has_one_number(start, tmp_path):
    """That of the store: where it is listed, in answers, in the tasks, after a restart, and when it comes again."""
    station = start("")
    station.update("mean", tmp_path / "near.onnx")
    assert station.update("mean", tmp_path / "twice.onnx").version == 3
    assert station.update("mean", tmp_path / "near.onnx").version == 2
    station.ends()
    again = start("")
    live(again, pytest.approx(2.1, abs=1e-4))
    assert again.snapshot().tasks[0].model_version == 2
    rows = {row.version.name: row.version.number for row in again._kept.store.versions("mean")}
    assert rows == {"mean.onnx": 1, "near.onnx": 2, "twice.onnx": 3}
    assert again.update("mean", tmp_path / "same.onnx").version == 4


def test_after_a_restart_and_a_second_time_it_goes_back_to_what_the_store_has(start, tmp_path):
    """From the third version to the second and to the first; then there is none before, which is said."""
    station = start("")
    station.update("mean", tmp_path / "same.onnx")
    station.update("mean", tmp_path / "twice.onnx")
    live(station, 4.0)
    station.ends()
    again = start("")
    live(again, 4.0)
    assert (again.snapshot().tasks[0].model_version, state(again).version) == (3, 3)
    assert "twice.onnx is rolled back; live: mean v2" in again.changes.roll_back("mean", "anna")
    live(again, pytest.approx(2.0, abs=1e-4))
    assert again.snapshot().tasks[0].model_version == 2
    assert "same.onnx" in again.snapshot().models["mean"]
    assert "same.onnx is rolled back" in again.changes.roll_back("mean", "anna")
    live(again, 2.0)
    with pytest.raises(RefusedError, match="the store has no version before the one that runs"):
        again.changes.roll_back("mean", "anna")
    again.ends()
    live(start(""), 2.0)


def test_what_leaves_the_limits_of_its_contract_in_trial_is_taken_back(start, tmp_path):
    """In the tag's unit; the device sees the old version's value of that tick, and none beyond the limit from the new one."""
    station = start('trial = "1 h"')
    contract = Contract((), (TensorContract("y", (Element("force", low=-9.0, high=9.0),)),))
    attach(tmp_path / "twice.onnx", contract)
    live(station, 2.0)
    station.update("mean", tmp_path / "twice.onnx")
    live(station, 4.0)
    device(station)["INPUT"][0] = 6.5  # the new one gives 9.5, the old one 4.75
    view = until(station, S.ROLLED_BACK)
    live(station, 4.75)
    assert view.verdict == Verdict.OUT_OF_LIMITS
    assert "in task axis, output force" in view.reason
    assert max(device(station)["received"]) == 4.75


def test_a_step_that_makes_an_output_of_its_own_is_no_matter_of_the_change(start, tmp_path):
    """Only what the model gives is compared."""
    (tmp_path / "step.py").write_text(STEP)
    tables = SLOW.replace('outputs = ["force"]', f'outputs = ["force", {EXTRA}]\nstep = "step.py:step"')
    tables = tables.replace("[tasks.axis]", 'extra = { direction = "out" }\n\n[tasks.axis]')
    station = start(SHADOW + TRIAL + TOLERANCE, SIM, tables)
    station.update("mean", tmp_path / "same.onnx")
    assert [one.output for one in until(station, S.COMMITTED).differences] == ["force"]


EXTRA = '{ tag = "extra", step_only = true }'
STEP = """\
from rt_native.lang import export, load_f64, store_f64


@export
def step(inputs, n_in, outputs, n_out, state):
    store_f64(outputs + 8, load_f64(inputs))
    return 0
"""


def test_slots_that_changed_together_go_back_after_a_newer_change_of_one_did(start, tmp_path):
    """The contexts before are gone by then: what was committed before is loaded from the store, and is what the tasks publish."""
    station = start("", SIM, TWO, device=BOTH, more='[models.copy]\nfile = "mean.onnx"\n\n')
    both = dict.fromkeys(("mean", "copy"), tmp_path / "twice.onnx")
    station.changes.update(both, "anna")
    station.update("copy", tmp_path / "near.onnx")
    with pytest.raises(RefusedError, match="changed together, and copy has changed since: take that back first"):
        station.changes.roll_back("mean", "anna")
    station.changes.roll_back("copy", "anna")
    wait_for(lambda: device(station)["received"][-1:] == [(4.0, 4.0)])
    station.changes.roll_back("mean", "anna")
    wait_for(lambda: device(station)["received"][-1:] == [(2.0, 2.0)])
    with pytest.raises(RefusedError, match="there is nothing to take back"):
        station.changes.roll_back("copy", "anna")


@pytest.mark.parametrize("change", ["", TRIAL, SHADOW])
def test_after_a_change_that_no_task_took_another_may_come(start, tmp_path, monkeypatch, change):
    """A task that overran for a moment does not hold its slot until the next start."""
    station = start(change)
    live(station, 2.0)
    with monkeypatch.context() as once:
        once.setattr(slot_change, "go_over", never_taken)
        with pytest.raises(RefusedError, match="1 of 1 tasks did not take the new version"):
            station.update("mean", tmp_path / "twice.onnx")
    assert state(station).state == S.REJECTED
    station.update("mean", tmp_path / "near.onnx")
    until(station, S.COMMITTED)


def never_taken(names, *_):
    raise UpdateError(f"{names}: 1 of 1 tasks did not take the new version within 5 s; all run the old one")
