"""Latency of our engine against ONNX Runtime, alternating, in one process: `python benchmarks/latency.py`.

Both run on one thread. Ours is timed in native code (`Context.measure`, as a real-time task would run it); ONNX Runtime with
IO binding, so that nothing is copied, around each call from Python, which is how its users call it.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent))

import rt_engine
from benchmarks.models import MODELS
from rt_native.target import host


def ours(
    model: onnx.ModelProto, x: NDArray[np.float32]
) -> tuple[Callable[[int], NDArray[np.int64]], NDArray[np.float32]]:
    """(function that times n runs, the result)."""
    context = rt_engine.load(model).context()
    context.inputs["x"][...] = x
    context.run()
    return context.measure, context.outputs["y"].copy()


def onnx_runtime(
    model: onnx.ModelProto, x: NDArray[np.float32]
) -> tuple[Callable[[int], NDArray[np.int64]], NDArray[np.float32]]:
    """(function that times n runs, the result)."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    y = np.zeros((x.shape[0], session.get_outputs()[0].shape[1]), np.float32)
    values = [ort.OrtValue.ortvalue_from_numpy(array) for array in (x, y)]
    binding.bind_ortvalue_input("x", values[0])
    binding.bind_ortvalue_output("y", values[1])
    run, clock = session.run_with_iobinding, time.perf_counter_ns

    def measure(count: int) -> NDArray[np.int64]:
        times = np.zeros(count, np.int64)
        for i in range(count):
            start = clock()
            run(binding)
            times[i] = clock() - start
        return times

    run(binding)
    return measure, values[1].numpy().copy()


def compare(model: onnx.ModelProto, rounds: int, runs: int) -> dict[str, dict[str, float]]:
    """Percentiles in nanoseconds of both, over alternating rounds; the results are compared first."""
    size = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    x = np.random.default_rng(1).standard_normal((1, size)).astype(np.float32)
    engines = {"rt_engine": ours(model, x), "onnxruntime": onnx_runtime(model, x)}
    results = [y for _, y in engines.values()]
    np.testing.assert_allclose(results[0], results[1], rtol=1e-5, atol=1e-5 * float(np.abs(results[1]).max()))
    times: dict[str, list[NDArray[np.int64]]] = {name: [] for name in engines}
    for measure, _ in engines.values():
        measure(runs // 10)  # warm
    for _ in range(rounds):
        for name, (measure, _) in engines.items():
            times[name].append(measure(runs))
    return {
        name: {f"p{p:g}": float(np.percentile(np.concatenate(all_runs), p)) for p in (50, 99, 99.9)}
        for name, all_runs in times.items()
    }


def main() -> None:
    """Print one table; write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    table = Table(title=f"Latency in microseconds, one thread, {host()}")
    for column in ("model", "rt_engine p50", "p99", "p99.9", "onnxruntime p50", "p99", "p99.9", "p50 ratio", "target"):
        table.add_column(column, justify="left" if column == "model" else "right")
    found = {}
    for name, (model, target) in track(MODELS.items(), "Measuring"):
        found[name] = compare(model, arguments.rounds, arguments.runs)
        cells = [f"{v / 1000:.2f}" for engine in found[name].values() for v in engine.values()]
        ratio = found[name]["onnxruntime"]["p50"] / found[name]["rt_engine"]["p50"]
        table.add_row(name, *cells, f"{ratio:.1f}x", f"{target:g}x")
    Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
