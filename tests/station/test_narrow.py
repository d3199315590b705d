"""Every table at 60, 80 and 120 columns: no line is wider, no name is cut, what had to go is named."""

import io

import numpy as np
import onnx
import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

from rt_native.terminal import Terminal
from station.cli import app
from station.show.live import draw
from tests.station.examples_of import snapshot
from tests.station.stations import AXIS, SIM, gemm, station_text, write_station

WIDTHS = (60, 80, 120)
SERVER = """
[servers.registers]
type = "modbus-tcp"
host = "127.0.0.1"
port = 45502
"""
LONG = "temperature_of_the_third_zone"


def lines_of(thing, width):
    file = io.StringIO()
    Terminal(file=file, width=width, force_terminal=True, color_system=None, _environ={}).print(thing)
    return file.getvalue().splitlines()


@pytest.mark.parametrize("width", WIDTHS)
def test_the_live_table_fits(width):
    lines = lines_of(draw(snapshot()), width)
    words = " ".join(lines).split()
    assert max(map(cell_len, lines[1:])) <= width
    assert {"axis_x", "anomaly", "plant", "plc", "up", "down"} <= set(words)
    assert ("would" in words) == (width < 120) or "run" in words


COMMANDS = {
    "symbols": (["symbols"], [f"Tags.{LONG}", "Tags.force", "access"]),
    "inspect": (["inspect", "mean.onnx", "--seconds", "0.01"], ["Linear_0", "share", "total"]),
    "bench": (["bench", "mean.onnx", "--seconds", "0.1"], ["mean", "p50"]),
    "quantize": (["quantize", "big.onnx", "--calibrate", "data.npz", "-o", "small.onnx"], ["layer", "SQNR dB", "y"]),
    "refused": (["check", "refused.onnx"], ["NoSuchOperator", "what helps"]),
    "doctor": (["doctor", "--seconds", "0.05"], ["wake-up", "clock"]),
}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("command", COMMANDS)
def test_what_a_command_prints_fits(tmp_path, monkeypatch, command, width):
    path = write_station(
        tmp_path, station_text("bench", SIM, AXIS.replace("b = {}", f"b = {{}}\n{LONG} = {{}}"), SERVER)
    )
    assert path.exists()
    gemm(tmp_path / "big.onnx", 64)
    np.savez(tmp_path / "data.npz", x=np.random.default_rng(0).normal(size=(8, 1, 64)).astype(np.float32))
    refused = onnx.load(tmp_path / "mean.onnx")
    refused.graph.node[0].op_type = "NoSuchOperator"
    onnx.save(refused, tmp_path / "refused.onnx")
    monkeypatch.chdir(tmp_path)
    words, names = COMMANDS[command]
    text = CliRunner().invoke(app, words, env={"COLUMNS": str(width)}).output
    assert "…" not in text
    for name in names:
        assert name in text, text
    table = [line for line in text.splitlines() if line.count("  ") > 1 and not line.startswith(" ")]
    if command != "doctor":  # whose lines are sentences
        assert table
        assert max(map(cell_len, table)) <= width, text
