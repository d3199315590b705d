"""Blocks as real compilers make them: what comes out is what the engine computes. Skipped where no compiler is named (`compilers`)."""

from __future__ import annotations

import re
import socket
import subprocess
from dataclasses import replace
from pathlib import Path
from string import Template

import numpy as np
import pytest

import rt_engine
from plc_bindings.st.openplc import configuration
from plc_bindings.st.portable import BYTES, library, transport
from plc_bindings.st.project import project
from plc_bindings.st.write import portable_files
from tests import ROOT
from tests.plc_bindings.st.compilers import Compiler, CompilerError, Matiec, agree, compilers
from tests.plc_bindings.st.exported import POLICY, demo, modbus
from tests.plc_bindings.st.served import Station
from tests.waiting import PATIENCE_S

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


FULL = """
PROGRAM PRG_Full
VAR
    stConnection : ST_RtConnection;
    fbTransport : FB_RtTransport;
END_VAR
fbTransport(stConnection := stConnection);
END_PROGRAM

"""
FULL_RUN = """
#include <unistd.h>
TIME __CURRENT_TIME;
BOOL __DEBUG;
#define C RES0__INSTANCE0.STCONNECTION.value
static void cycle(int count) { while (count--) config_run__(0), usleep(500); }
int main(void) {
    config_init__();
    for (int i = 0; i < 4000 && !C.BOPEN; i++) cycle(1);
    for (int i = 0; i < ${size}; i++) C.AREQUEST.table[i] = i * 7 % 251;
    C.NREQUEST = ${size}, C.BSEND = 1;
    for (int i = 0; i < 4000 && C.NRESPONSE < ${size}; i++) cycle(1);
    cycle(20);
    printf("%d %d", (int)C.BSEND, (int)C.NRESPONSE);
    for (int i = 0; i < ${size}; i++) if (C.ARESPONSE.table[i] != i * 11 % 253) printf(" wrong at %d", i);
    for (int i = 0; i < ${size} - ${more}; i++) C.ARESPONSE.table[i] = C.ARESPONSE.table[i + ${more}];
    C.NRESPONSE = ${size} - ${more};
    for (int i = 0; i < 4000 && C.NRESPONSE < ${size}; i++) cycle(1);
    printf(" %d", (int)C.NRESPONSE);
    for (int i = 0; i < ${size}; i++) if (C.ARESPONSE.table[i] != (i + ${more}) * 11 % 253) printf(" wrong at %d", i);
    return 0;
}
"""
MOVED = (
    ("NSEND.value, 64 |", "NSEND.value - 1, 64 |"),
    ("NMOST.value, 64)", "NMOST.value + 1, 64)"),
    ("NMOST.value, 64)", "NMOST.value - 1, 64)"),
    ("< 15 ? data__->SADDRESS.value.len : 15", "< 15 ? data__->SADDRESS.value.len : 14"),
    ("port[1] = (unsigned char)(data__->NPORT.value % 256)", "port[1] = (unsigned char)(data__->NPORT.value % 255)"),
    ("data__->NCAME.value = (unsigned short)rt_n", "data__->NCAME.value = (unsigned short)(rt_n - 1)"),
    (f"{BYTES} - stConnection", f"{BYTES - 1} - stConnection"),
    (f"{BYTES} - stConnection", f"{BYTES + 1} - stConnection"),
)


def carried(compiler: Matiec, folder: Path, right: str = "", wrong: str = "") -> bool:
    """Do full buffers come through its sockets, both ways, and more waits until there is room?"""
    more, address = 100, "127.100.100.100"  # of 15 characters, the longest
    patience_s = 1.0 if right else PATIENCE_S  # with a wrong bound something is waited for that never comes
    with socket.create_server((address, 0)) as server:
        server.settimeout(5 * patience_s)
        at = replace(modbus(demo()), host=address, port=server.getsockname()[1])
        shared = [u.text for u in library() if u.name in ("RT_FRAME", "RT_TURNS", "ST_RtConnection")]
        text = "\n".join([*shared, transport(demo(), at, "matiec").text, FULL, configuration("PRG_Full")])
        assert right in text
        main = Template(FULL_RUN).substitute(size=BYTES, more=more)
        made = compiler.program(text.replace(right, wrong, 1) if right else text, main, folder)
        with subprocess.Popen([made], stdout=subprocess.PIPE, text=True) as process:
            try:
                peer, _ = server.accept()
                peer.settimeout(patience_s)
                with peer:
                    came = b""
                    while len(came) < BYTES and (part := peer.recv(BYTES)):
                        came += part
                    peer.sendall(bytes(i * 11 % 253 for i in range(BYTES + more)))
                    said = process.communicate(timeout=20)[0]
            except TimeoutError:
                process.kill()
                return False
    return came == bytes(i * 7 % 251 for i in range(BYTES)) and said == f"0 {BYTES} {BYTES}"


def test_full_buffers_go_through_the_sockets(compiler: Compiler, tmp_path: Path) -> None:
    """And each bound that is moved is seen."""
    if not isinstance(compiler, Matiec):
        pytest.skip("its transport is matiec's C")
    assert carried(compiler, tmp_path)
    assert [pair for pair in MOVED if carried(compiler, tmp_path, *pair)] == []


def test_the_programs_for_openplcs_master_compile(compiler: Compiler, tmp_path: Path) -> None:
    """With their places in the process image, beside the blocks that they do without."""
    if not isinstance(compiler, Matiec):
        pytest.skip("%IW100 is for matiec's family")
    files = portable_files(demo(), modbus(demo()))
    compiler.c(files["line4.st"] + files["line4_master.st"] + configuration("PRG_policy_Master"), tmp_path)
    assert "__IW100" in (tmp_path / "LOCATED_VARIABLES.h").read_text()
