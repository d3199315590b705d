"""The C library: load times, what `rte_run` costs beside Python's `Context.measure`, bytes that are deployed.

    python -m benchmarks.c_library [COUNT]

Runs alternate between both, in blocks; medians. The size of ONNX Runtime's library is shown where that is installed.
"""

import importlib.util
import sys
import tempfile
from pathlib import Path

import numpy as np

import rt_engine
from plc_bindings.c.export import kernels
from rt_engine.program.rtp_file import write
from rt_native.target import native
from tests.plc_bindings.c.models import policy
from tests.plc_bindings.c.toolchain import Toolchain, compile_c, run

POLICY = Path(__file__).parent.parent / "station" / "demo" / "data" / "policy-v1.onnx"
ROUNDS = 15


def main(count: int = 2000) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        tools = Toolchain(Path(folder) / "library", kernels(native()))
        unit = compile_c(Path(__file__).with_suffix(".c"), tools.folder / "main.o")
        shared, program = tools.shared(), tools.folder / "c_library"
        run("gcc", "-s", unit, shared, "-Wl,-rpath,$ORIGIN", "-o", program, "-pthread")
        for name, model in (("the demo's policy", rt_engine.load(POLICY)), ("MLP 16-64-64-4", policy())):
            file = Path(folder) / "model.rtp"
            write(model.program, file)
            measure(name, model, file, program, count)
        sizes(shared, program)


def measure(name: str, model: rt_engine.Model, file: Path, program: Path, count: int) -> None:
    """Load times and run times of one model."""
    context, first, loads, runs, ours = model.context(), [], [], [], []
    for _ in range(ROUNDS):
        lines = run(program, file, count).stdout.split()
        first.append(int(lines[0]))
        loads += [int(n) for n in lines[2::2]]
        runs.append(np.median([int(n) for n in lines[1::2]]))
        ours.append(np.median(context.measure(count)))
    low, high = np.percentile(loads, (50, 99)) / 1e3
    print(
        f"{name}: {file.stat().st_size:,} bytes; rte_load the first time {np.median(first) / 1e3:.0f} us, then p50 {low:.1f} us, "
        f"p99 {high:.1f} us; rte_run {np.median(runs):.0f} ns, Context.measure {np.median(ours):.0f} ns"
    )


def sizes(shared: Path, program: Path) -> None:
    """What is deployed, stripped."""
    print(f"library {shared.stat().st_size:,} bytes, this program {program.stat().st_size:,} bytes")
    peer = importlib.util.find_spec("onnxruntime")
    if peer and peer.submodule_search_locations:
        for path in Path(peer.submodule_search_locations[0]).rglob("libonnxruntime.so.*"):
            print(f"{path.name} {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
