"""`rt-engine compile`, and what takes a compiled program in place of a model."""

import subprocess
import sys

import onnx
import pytest
from onnx import TensorProto, helper
from typer.testing import CliRunner

import rt_engine
from rt_engine.program.rtp_writer import to_bytes
from station.cli import app
from station.errors import ExitCode
from tests import ROOT
from tests.plc_bindings.c.models import GOLDEN
from tests.station.stations import write_station

DEMO = ROOT / "station" / "demo" / "data"
POLICY = DEMO / "policy-v1.onnx"


def command(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, [str(w) for w in words])
    assert done.exit_code == code, done.output
    return " ".join(done.output.replace("│", " ").split())


@pytest.fixture
def recurrent(tmp_path):
    """y = h2 = x + h, of any number of rows."""
    ends = {n: helper.make_tensor_value_info(n, TensorProto.FLOAT, ["rows", 4]) for n in ("x", "h", "y", "h2")}
    nodes = [helper.make_node("Add", ["x", "h"], ["y"]), helper.make_node("Tanh", ["y"], ["h2"])]
    graph = helper.make_graph(nodes, "g", [ends["x"], ends["h"]], [ends["y"], ends["h2"]])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def test_compile_says_what_it_made(tmp_path):
    """Size, ends, kernels; the file is that of the model, beside it where no other place is given."""
    model = tmp_path / "policy.onnx"
    model.write_bytes((DEMO / "policy-v1.onnx").read_bytes())
    said = command("compile", model)
    data = (tmp_path / "policy.rtp").read_bytes()
    assert data == to_bytes(rt_engine.load(model).program)
    for part in (f"{len(data):,} bytes", "inputs: ", "outputs: ", "4 kernels: div_f32 gemm_f32 ", "bytes of weights"):
        assert part in said


def test_shapes_and_states_are_compiled_in(recurrent, tmp_path):
    """A station, which says neither, gets them from the file."""
    command("compile", recurrent, "-o", tmp_path / "a.rtp", "--shape", "x=3,4", "--shape", "h=3,4", "--state", "h2=h")
    made = rt_engine.load(tmp_path / "a.rtp")
    assert [str(s) for s in (*made.inputs, *made.state)] == ["x: float32[3, 4]", "h: float32[3, 4]"]


def test_what_is_compiled_already_is_told_so(recurrent, tmp_path):
    made = tmp_path / "m.rtp"
    command("compile", recurrent, "--shape", "x=3,4", "--shape", "h=3,4")
    assert "is compiled already" in command("compile", made, code=2)
    command("compile", made, "-o", tmp_path / "again.rtp")
    assert (tmp_path / "again.rtp").read_bytes() == made.read_bytes()


def test_wrong_words_are_refused(recurrent, tmp_path):
    """A state or shape that is none, a file that cannot be written, the model as its own output."""
    assert "h2 is no state" in command("compile", recurrent, "--state", "h2", code=2).replace('"', "")
    assert "is no shape" in command("compile", recurrent, "--shape", "x", code=2)
    assert "cannot be made" in command("compile", recurrent, "-o", recurrent / "a.rtp", code=2)
    assert "choose another place" in command("compile", POLICY, "-o", tmp_path / f"{'a' * 251}.rtp", code=2)
    assert "cannot be read" in command("compile", ".", code=ExitCode.BAD_FILE)
    assert "choose another name" in command("compile", recurrent, "-o", recurrent, code=2)
    command("compile", recurrent, "--state", "h2=none", code=ExitCode.BAD_FILE)


def test_check_tells_what_a_program_is(tmp_path):
    """As of a model; a damaged one is refused with the reason."""
    command("compile", GOLDEN / "torch_cond_dynamo.onnx", "-o", tmp_path / "a.rtp")
    said = command("check", tmp_path / "a.rtp")
    assert "a.rtp: runs" in said and "compiled; " in said and "multiply-accumulates" in said
    damaged = bytearray((tmp_path / "a.rtp").read_bytes())
    damaged[1000] ^= 1
    (tmp_path / "a.rtp").write_bytes(damaged)
    assert "checksum is wrong" in command("check", tmp_path / "a.rtp", code=ExitCode.BAD_FILE)


def test_bench_and_inspect_measure_a_program(tmp_path):
    """Without what needs the ONNX file, and they say so; what cannot do without is refused."""
    command("compile", DEMO / "policy-v1.onnx", "-o", tmp_path / "p.rtp")
    said = command("bench", tmp_path / "p.rtp", "--seconds", "0.1")
    assert "measured alone" in said and "Microseconds, one thread" in said
    said = command("inspect", tmp_path / "p.rtp", "--seconds", "0.05")
    assert "not compared with float64" in said and "node_linear_1" in said
    for words in (["bench", tmp_path / "p.rtp", "--int8"], ["quantize", tmp_path / "p.rtp", "--calibrate", __file__]):
        assert "needs the ONNX model that it was compiled from" in command(*words, code=ExitCode.BAD_FILE)


def test_a_station_runs_programs_without_onnx(tmp_path):
    """station.toml names a .rtp file: a process that builds the station imports neither ONNX nor Numba."""
    file = write_station(tmp_path)
    models = list(tmp_path.rglob("*.onnx"))
    assert models
    for model in models:
        command("compile", model)
        model.unlink()
    file.write_text(file.read_text().replace(".onnx", ".rtp"))
    assert "good" in command("check", file)
    script = """
import sys
from pathlib import Path
from station.wiring.parts import build
from station.file.reading import read_station
parts = build(read_station(Path(sys.argv[1])))
assert parts.models
print([m for m in ("onnx", "onnx_ir", "numba") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script, file], stdout=-1, check=True, text=True)
    assert done.stdout == "[]\n"
