"""The demo with a PLC: its claims on made-up calls, its program's constants, and whole runs over ADS and Modbus."""

import ast
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from plc_bindings.ads.groups import PREDICT
from plc_bindings.status import CallStatus
from station.demo import demo, plc_checks, plc_program, plc_story
from station.demo.machine import COMMAND_ADDRESS
from station.demo.plc_checks import Call, all_answered, no_cycle_missed, taken_between_two_calls
from station.file.reading import read_station
from station.show.symbols import of_station
from tests import ROOT


def calls(cycles=1000, change=500, left_out=(), **more):
    """Good calls of both axes; version 2 from the cycle `change` on."""
    made = []
    for cycle in range(cycles):
        if cycle not in left_out:
            version = 1 if cycle < change else 2
            made += [Call(cycle, axis, cycle * 10_000_000, 300_000, 0, version) for axis in (0, 1)]
    return [replace(call, **more) for call in made] if more else made


# --- claims -----------------------------------------------------------------------------------------------------------


def test_all_answered():
    good = calls()
    assert all_answered(good, 10.0).ok
    assert "2,000 calls in 1,000 cycles, 0 without outputs, 0 cycles left out" in all_answered(good, 10.0).evidence
    assert not all_answered([*good[:-1], replace(good[-1], status=200)], 10.0).ok
    assert not all_answered(good[:-1], 10.0).ok  # a cycle asked for one axis only
    assert not all_answered(good[:400], 10.0).ok  # it stood still
    assert not all_answered([], 10.0).ok


@pytest.mark.parametrize("versions", [(1, 1, 1, 1), (2, 2, 2, 2), (1, 2, 1, 2), (1, 2, 3, 3), (0, 1, 2, 2), ()])
def test_a_version_that_never_changes_or_comes_back_is_seen(versions):
    made = [Call(i, 0, i, 1, 0, version) for i, version in enumerate(versions)]
    assert not taken_between_two_calls(made).ok
    assert taken_between_two_calls(calls()).ok


def test_cycles_left_out_around_the_change_are_compared_with_those_elsewhere():
    assert no_cycle_missed(calls()).ok
    assert not no_cycle_missed(calls(left_out=range(500, 517))).ok
    assert no_cycle_missed(calls(left_out=[*range(500, 517), *range(110, 115)])).ok
    assert not no_cycle_missed(calls(change=5000)).ok
    assert not no_cycle_missed(calls(change=5, left_out=range(10, 30))).ok  # nothing to compare with


def test_calls_are_read_as_the_program_writes_them(tmp_path):
    made = calls(3)
    lines = [",".join(plc_program.Call._fields)]
    lines += [",".join(str(getattr(call, name)) for name in plc_program.Call._fields) for call in made]
    (tmp_path / "calls.csv").write_text("\n".join(lines) + "\n")
    assert plc_checks.read_calls(tmp_path / "calls.csv") == made


# --- the program ------------------------------------------------------------------------------------------------------


def test_the_program_imports_nothing_of_ours():
    tree = ast.parse(Path(plc_program.__file__).read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    packages = {name.split(".")[0] for name in names}
    assert packages - set(sys.stdlib_module_names) == {"pyads", "pymodbus"}


def test_the_programs_numbers_are_those_that_symbols_lists():
    listed = {row["symbol"]: row for row in of_station(Path(plc_story.HERE / "plc.toml")).rows}
    status, force = (listed[f"Models.policy.Predict.{name}"] for name in ("Status", "Out.force"))
    inputs = listed["Models.policy.Predict.In.observation"]
    result = plc_program.PREDICT_REGISTER + plc_program.INPUT_REGISTERS
    assert inputs["register"] == f"{plc_program.PREDICT_REGISTER}-{result - 1}"
    assert status["register"] == f"{result}-{result + 1}"
    assert force["register"] == f"{result + 4}-{result + plc_program.RESULT_REGISTERS - 1}"
    assert inputs["ads_group"] == f"0x{plc_program.PREDICT_GROUP:08X}" and inputs["ads_offset"] == str(
        plc_program.POLICY
    )
    assert plc_program.PREDICT_GROUP == PREDICT
    assert plc_program.FORCE_REGISTER == COMMAND_ADDRESS


def test_the_histogram_has_every_call_once():
    made = [plc_program.Call(0, 0, 0, took, 0, 1) for took in (1_000, 300_000, 300_000, 999_999_000)]
    *lines, last = plc_program.histogram(made).splitlines()
    assert [int(line.split()[4]) for line in lines] == [1, 2, 1]
    assert last.startswith("4 calls: p50 300 us") and last.endswith("longest 999999 us")


def test_a_cycle_that_fails_is_noted_and_the_program_connects_anew_and_goes_on(monkeypatch):
    """Engine and machine fail in turn; the forces of the other cycles arrive."""
    monkeypatch.setattr(plc_program, "CYCLE_NS", 1_000_000)
    opened, written = [], []

    class Fake:
        reads = 0

        def predict(self, observation):
            if Fake.reads == 6:
                raise OSError("no engine")
            return plc_program.Answer(0 if observation[0] else 200, 1, 2.0)

        def read(self):
            Fake.reads += 1
            if Fake.reads == 3:
                raise OSError("no answer")
            return [(1.0,) * 7, (float(Fake.reads != 5),) * 7]

        def write(self, forces):
            written.append(forces)
            program.is_stopping = Fake.reads >= 8

    def open_all():
        opened.append(Fake())
        return opened[-1], opened[-1]

    program = plc_program.Program(open_all)
    program.run()
    assert len(opened) == 3
    assert [fault.split(": ")[1] for fault in program.faults] == ["no answer", "no engine"]
    assert written == [[2.0, 2.0]] * 5  # of 8 cycles two failed, and one had no output for one axis
    assert sorted(call.status for call in program.calls) == [0] * 11 + [200, CallStatus.CONNECTION]


def test_a_machine_that_is_not_there_ends_the_program_in_words(monkeypatch, capsys):
    monkeypatch.setattr(plc_program, "PATIENCE_S", 0.0)
    monkeypatch.setattr(sys, "argv", ["plc", "modbus", "--engine", "127.0.0.1:1", "--machine", "127.0.0.1:1"])
    with pytest.raises(SystemExit, match="nobody answers at"):
        plc_program.main()


def test_the_station_file_has_the_addresses_and_checks(tmp_path):
    addresses = plc_story.Addresses.free()
    config = read_station(plc_story.station_file(tmp_path, addresses)).config
    assert config.servers["ads"].host == addresses.engine("ads") != "127.0.0.2"
    assert f"127.0.0.1:{config.servers['modbus'].port}" == addresses.engine("modbus")


# --- whole runs -------------------------------------------------------------------------------------------------------


def play(folder: Path, *options: str, expected: int = 0) -> tuple[int, str, dict[str, bool]]:
    """Exit code, output, claim -> did it come true; of a second run, if this computer was too busy for the first."""
    code, output, claims = play_once(folder, *options)
    return (code, output, claims) if code == expected else play_once(folder, *options)


def play_once(folder: Path, *options: str) -> tuple[int, str, dict[str, bool]]:
    command = [sys.executable, "-m", "station", "demo", "--report", str(folder / "report"), *options]
    result = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=200, check=False)
    file = folder / "report" / "demo.json"
    record = json.loads(file.read_text()) if file.exists() else {"claims": []}
    claims: dict[str, bool] = {}
    for claim in record["claims"]:
        claims[claim["claim"]] = claims.get(claim["claim"], True) and claim["ok"]
    return result.returncode, result.stdout, claims


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["ads", "modbus"])
def test_the_whole_story(tmp_path, protocol):
    """All claims come true; the histogram is shown; the station counted every call."""
    code, output, claims = play(tmp_path, "--plc", protocol)
    assert code == 0, output
    assert len(claims) == 8 and all(claims.values())
    made = plc_checks.read_calls(tmp_path / "report" / "calls.csv")
    assert f"{len(made)} calls: p50" in output
    counted = json.loads((tmp_path / "report" / "demo.json").read_text())["numbers"]
    assert len(made) <= int(
        counted["requests that the servers counted"].replace(",", "").split(f"{protocol} ")[1].split()[0]
    )


@pytest.mark.slow
def test_a_network_that_cannot_take_over_fails_the_demo_and_not_the_machine(tmp_path):
    """The other claims stay true."""
    code, output, claims = play(tmp_path, "--plc", "ads", "--better", str(demo.WRONG), expected=1)
    assert code == 1, output
    assert not claims["the better network is live"]
    assert not claims["the better network took over between two calls"]
    assert claims["every call of the PLC was answered"]
