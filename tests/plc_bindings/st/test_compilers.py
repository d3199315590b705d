"""Blocks as real compilers make them: what comes out is what the engine computes. Skipped where no compiler is named (`compilers`)."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path
from string import Template

import numpy as np
import pytest

import rt_engine
from plc_bindings.st.openplc import configuration
from plc_bindings.st.project import project
from plc_bindings.st.write import portable_files
from tests import ROOT
from tests.plc_bindings.st.compilers import Compiler, CompilerError, Matiec, agree, compilers
from tests.plc_bindings.st.exported import POLICY
from tests.plc_bindings.st.served import Station

GOLDEN = ROOT / "tests" / "exporters" / "golden"
pytestmark = pytest.mark.skipif(not compilers(), reason="names no compiler: RT_ENGINE_MATIEC, RT_ENGINE_STRUCPP")


@pytest.fixture(params=compilers(), ids=lambda c: re.sub(r"\W+", "-", c.name))
def compiler(request: pytest.FixtureRequest) -> Compiler:
    made: Compiler = request.param
    return made


@pytest.mark.parametrize(
    "name", ["sklearn_tree_binary", "sklearn_forest_float64", "torch_fn_norms_dynamo", "sklearn_mixture"]
)
def test_inline_models_agree(compiler: Compiler, name: str, tmp_path: Path) -> None:
    """Trees of depth one, LREAL, norms, sums of EXP."""
    assert agree(compiler, GOLDEN / f"{name}.onnx", tmp_path) in ("same bits", "close")


BLOCKS = 8
PROGRAM = f"""
PROGRAM PRG_Many
VAR
    stConnection : ST_RtConnection;
    fbTransport : FB_RtTransport;
    nResults : ARRAY [0..{BLOCKS - 1}] OF UDINT;
    nFailed : UDINT;
{{declared}}END_VAR
fbTransport(stConnection := stConnection);
{{called}}fbTransport(stConnection := stConnection);
END_PROGRAM

{configuration("PRG_Many")}"""
CALL = """fbModel{i}(bExecute := TRUE, bCyclic := TRUE, stConnection := stConnection);
IF fbModel{i}.bValid AND fbModel{i}.nAge = 0 THEN
    nResults[{i}] := nResults[{i}] + 1;
END_IF;
IF fbModel{i}.bError THEN
    nFailed := nFailed + 1;
END_IF;
"""
RUN = """
#include <unistd.h>
TIME __CURRENT_TIME;
BOOL __DEBUG;
#define MODEL(i) RES0__INSTANCE0.FBMODEL##i
int main(void) {
    config_init__();
    ${inputs}
    for (unsigned long tick = 0; tick < 600; tick++) {
        config_run__(tick);
        usleep(2000);
    }
    printf("%u ", (unsigned)RES0__INSTANCE0.NFAILED.value);
    ${results}
    return 0;
}
"""
RESULT = """{{
        float force = MODEL({i}).STOUT.value.FORCE;
        printf("%u %u %08x ", (unsigned)RES0__INSTANCE0.NRESULTS.value.table[{i}], MODEL({i}).NVERSION.value, *(unsigned *)&force);
    }}"""
INPUT = "for (int i = 0; i < 7; i++) MODEL({i}).STIN.value.OBSERVATION.table[i] = -0.5f + (i + {i}) / 6.0f;\n"


def results(compiler: Matiec, blocks: int, folder: Path) -> list[int]:
    """How many of 600 cycles of 2 ms gave a new result, of each block; all of them the engine's bits, none an error."""
    policy = rt_engine.load(POLICY)
    models = {f"policy{i}": policy for i in range(blocks)}
    station = Station(models)
    declared = "".join(f"    fbModel{i} : FB_policy{i};\n" for i in range(blocks))
    called = "".join(CALL.format(i=i) for i in range(blocks))
    ends = {
        end: "".join(text.format(i=i) for i in range(blocks)) for end, text in (("inputs", INPUT), ("results", RESULT))
    }
    try:
        at = replace(station.modbus, port=station.server.address[1])
        files = portable_files(project("cell", models), at)
        text = files["cell.st"] + files["cell_matiec.st"] + PROGRAM.format(declared=declared, called=called)
        made = compiler.program(text, Template(RUN).substitute(ends), folder)
        done = subprocess.run([made], capture_output=True, text=True, check=True, timeout=30).stdout.split()
    finally:
        station.close()
    assert done[0] == "0", done
    for i in range(blocks):
        x = np.float32(-0.5) + np.arange(i, i + 7, dtype=np.float32).reshape(1, 7) / np.float32(6)
        force = policy.run({"observation": x})[0].view(np.uint32).item()
        assert (int(done[2 + 3 * i]), int(done[3 + 3 * i], 16)) == (1, force), (i, done)
    return [int(count) for count in done[1::3]]


@pytest.mark.parametrize("blocks", [1, BLOCKS])
def test_blocks_on_one_connection_have_a_result_in_every_cycle(compiler: Compiler, blocks: int, tmp_path: Path) -> None:
    """All of them, though they share the connection; on a machine with other work most cycles. Turns would give an eighth."""
    if not isinstance(compiler, Matiec):
        pytest.skip("its transport is matiec's C")
    found = results(compiler, blocks, tmp_path)
    assert min(found) > 300 and max(found) - min(found) < 20, found


def test_a_text_that_is_wrong_is_refused(compiler: Compiler, tmp_path: Path) -> None:
    """The judge can say no."""
    with pytest.raises(CompilerError):
        compiler.build(
            "FUNCTION_BLOCK FB_X\nVAR\n    x : REAL;\nEND_VAR\nx := y;\nEND_FUNCTION_BLOCK\n", "FB_X", [], [], tmp_path
        )
