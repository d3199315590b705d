"""Blocks as real compilers make them: what comes out is what the engine computes. Skipped where no compiler is named (`compilers`)."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import rt_engine
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


RUN = """
#include <unistd.h>
TIME __CURRENT_TIME;
BOOL __DEBUG;
int main(void) {
    unsigned long results = 0, first = 0;
    config_init__();
    for (int i = 0; i < 7; i++) RES0__INSTANCE0.STIN.value.OBSERVATION.table[i] = -0.5f + i / 6.0f;
    for (unsigned long tick = 0; tick < 600; tick++) {
        config_run__(tick);
        usleep(2000);
        if (RES0__INSTANCE0.FBMODEL.BVALID.value && RES0__INSTANCE0.FBMODEL.NAGE.value == 0) results++, first = first ? first : tick;
    }
    float force = RES0__INSTANCE0.STOUT.value.FORCE;
    printf("%lu %lu %u %u ", results, first, RES0__INSTANCE0.NFAILED.value, RES0__INSTANCE0.FBMODEL.NVERSION.value);
    for (int i = 0; i < 4; i++) printf("%02x", ((unsigned char *)&force)[i]);
    return 0;
}
"""


def test_the_program_for_openplc_calls_a_station_in_every_cycle(compiler: Compiler, tmp_path: Path) -> None:
    """Its own socket, 2 ms a cycle: the engine's bits, a new result in (nearly) every cycle."""
    if not isinstance(compiler, Matiec):
        pytest.skip("its transport is matiec's C")
    policy = rt_engine.load(POLICY)
    station = Station({"policy": policy})
    x = np.array([[-0.5 + i / 6 for i in range(7)]], np.float32)
    try:
        at = replace(station.modbus, port=station.server.address[1])
        text = portable_files(project("cell", {"policy": policy}), at)["cell_openplc.st"]
        made = compiler.program(text, RUN, tmp_path)
        done = subprocess.run([made], capture_output=True, text=True, check=True, timeout=30).stdout.split()
    finally:
        station.close()
    results, first, failed, version = map(int, done[:4])
    assert bytes.fromhex(done[4]) == policy.run({"observation": x})[0].tobytes(), done
    assert failed == 0 and version == 1 and first < 60 and results > 0.9 * (600 - first), done


def test_a_text_that_is_wrong_is_refused(compiler: Compiler, tmp_path: Path) -> None:
    """The judge can say no."""
    with pytest.raises(CompilerError):
        compiler.build(
            "FUNCTION_BLOCK FB_X\nVAR\n    x : REAL;\nEND_VAR\nx := y;\nEND_FUNCTION_BLOCK\n", "FB_X", [], [], tmp_path
        )
