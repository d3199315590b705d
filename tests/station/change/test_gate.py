"""What a station's gate knows of its tasks."""

from types import SimpleNamespace

import pytest

from rt_engine.contract.compare import Wiring
from rt_engine.errors import EngineError
from rt_engine.gate.contracts import STATION as FITS
from rt_engine.gate.job import Budget
from rt_engine.gate.report import NONE_YET, Check, GateReport, Memory, Outcome, Timing
from rt_engine.read.source import Source
from station.change.gate import StationGate
from station.change.parts import Candidate
from station.file.reading import read_station
from tests.scheduler.models import scale
from tests.station.stations import STATION, write_station

US = 1_000


def budgets(folder, monkeypatch, **keys):
    """Of a task whose median cycle takes 100 us, with a model that takes 60 us."""
    lines = "".join(f"{key} = {value}\n" for key, value in keys.items())
    config = read_station(write_station(folder, STATION + lines)).config
    stats = SimpleNamespace(period_ns=1000 * US, execution=SimpleNamespace(p50_ns=100 * US))
    parts = SimpleNamespace(slots={}, wirings={})
    gate = StationGate(config, parts, SimpleNamespace(stats=lambda: {"axis": stats}), None)
    monkeypatch.setattr(gate, "_taken_ns", lambda model: 60 * US)
    return gate._budgets("mean", scale(1.0))


def test_what_a_task_needs_besides_its_model(tmp_path, monkeypatch):
    """Of a median with the model what is left; a median of cycles between a model's turns is without it."""
    (each,) = budgets(tmp_path / "a", monkeypatch)
    (slow,) = budgets(tmp_path / "b", monkeypatch, every=20)
    assert (each.needs_ns, each.running_ns, each.period_ns) == (40 * US, 60 * US, 1000 * US)
    assert (slow.needs_ns, slow.running_ns, slow.period_ns) == (100 * US, 60 * US, 1000 * US)


def test_a_model_in_slices_has_no_budget(tmp_path, monkeypatch):
    """One that is slower takes more cycles."""
    assert budgets(tmp_path, monkeypatch, slice='"300 us"') == ()


@pytest.mark.parametrize(
    ("tables", "needs_us"),
    [
        ('[tasks.axis.monitor]\nmodel = "other"\nlimit = 1.0', 40),
        ('[tasks.axis.fallback]\nuse = "slot:other"', 100),
        ('[tasks.axis.on_late]\nmodel = "other"', 40),
    ],
)
def test_a_model_that_a_task_runs_besides_its_own_has_a_budget_too(tmp_path, monkeypatch, tables, needs_us):
    """A monitor that is slow makes each cycle late, whatever its numbers are; what takes a model's place is wired as that is."""
    text = STATION + "\n" + tables + '\n\n[models.other]\nfile = "twice.onnx"\n'
    config = read_station(write_station(tmp_path, text)).config
    stats = SimpleNamespace(period_ns=1000 * US, execution=SimpleNamespace(p50_ns=100 * US))
    slots = {name: SimpleNamespace(model=scale(1.0)) for name in ("mean", "other")}
    parts = SimpleNamespace(
        slots=slots, wirings={"axis": Wiring(task="axis", period_ns=1000 * US, state=(("a", "b"),))}
    )
    gate = StationGate(config, parts, SimpleNamespace(stats=lambda: {"axis": stats}), None)
    monkeypatch.setattr(gate, "_taken_ns", lambda model: 60 * US)
    (budget,) = gate._job("other").budgets
    assert (budget.task, budget.needs_ns) == ("axis", needs_us * US)
    is_instead = "monitor" not in tables
    assert [wiring.state for wiring in gate._job("other").wirings] == [()] * is_instead


def test_the_bytes_of_a_file_are_let_go_behind_the_gate(tmp_path):
    """A change is remembered for long, and its file may have two gigabytes; also where the gate refuses it."""
    config = read_station(write_station(tmp_path, STATION)).config
    slot = SimpleNamespace(model=scale(1.0))
    parts = SimpleNamespace(slots={"mean": slot}, wirings={})

    class Refusing:
        def examine(self, *asked):
            raise EngineError("no")

    gate = StationGate(config, parts, SimpleNamespace(stats=dict), Refusing())
    gate._budgets = lambda slot, running: (Budget("axis", 1000 * US, 40 * US),)
    candidate = Candidate("mean", "m.onnx", "m.onnx", Source(b"x", "m.onnx"))
    with pytest.raises(EngineError):
        gate.examine(candidate, None)
    assert candidate.source is None
    assert candidate.budgets == {"axis": 960 * US}


@pytest.mark.parametrize(("warnings", "told"), [(1.0, "it fits, but: its range is narrower"), (0.0, "")])
def test_an_update_is_told_what_does_not_quite_fit(warnings, told):
    """Warnings refuse nothing, so who brings the version has to read them."""
    check = Check(FITS, Outcome.PASSED, "it fits, but: its range is narrower", {"errors": 0.0, "warnings": warnings})
    report = GateReport("m", "m.onnx", "00", (check,), Timing(), Memory())
    candidate = Candidate("m", "m.onnx", "m.onnx", Source(b"x", "m.onnx"), report=report)
    assert StationGate(None, None, None, None).notes(candidate, True) == told


@pytest.mark.parametrize(
    ("tolerance", "expected"), [("0.5", (0.5, {})), ("{ force = 0.5 }", (None, {"force": 0.5})), (None, (None, {}))]
)
def test_a_recording_beside_the_station_file_is_what_a_new_version_is_run_over(tmp_path, tolerance, expected):
    """A path from the root on, as the worker stands elsewhere; judged as shadow and trial are."""
    lines = '\n[models.mean.change]\nrecording = "kept"\ndisagreements = 3\n'
    lines += f"tolerance = {tolerance}\n" if tolerance else ""
    config = read_station(write_station(tmp_path, STATION + lines)).config
    parts = SimpleNamespace(slots={"mean": SimpleNamespace(model=scale(1.0))}, wirings={})
    gate = StationGate(config, parts, SimpleNamespace(stats=dict), None, tmp_path)
    gate._budgets = lambda slot, running: ()
    recorded = gate._job("mean").recording
    assert (recorded.path, recorded.slot, recorded.disagreements) == (str((tmp_path / "kept").resolve()), "mean", 3)
    assert (recorded.tolerance, recorded.tolerances) == expected


def test_an_update_is_told_that_nothing_is_recorded_yet(tmp_path):
    config = read_station(write_station(tmp_path, STATION)).config
    gate = StationGate(config, None, None, None)
    check = Check("recording", Outcome.SKIPPED, "there is none yet in kept", {NONE_YET: 1.0})
    report = GateReport("mean", "m", "", (check,), Timing(), Memory())
    candidate = Candidate("mean", "m.onnx", "m.onnx", report=report)
    assert gate.notes(candidate, is_plain=True) == "recording: there is none yet in kept"
