"""Give the demo's policies their contracts, and derive the versions of policy-v2 that a station must not keep.

python examples/demo_changes.py [FOLDER]        (default: station/demo/data; after train_policy.py; 10 s)

policy-v1, policy-v2     as they were trained, with a contract: what their elements are, in which unit and range, statistics
                         of their own runs on the machine, test vectors. No rate: they have no memory, and imitate a
                         regulator of continuous time
policy-v4.onnx           v2, retouched: its last weights half a percent larger
policy-degrees.onnx      v2 for angles in degrees, as its contract says: right, but not for this station
policy-slow.onnx         the mean of v2 over thousands of copies of its inputs, each a little apart: too slow for 1 ms
policy-biased.onnx       v2 with 1 N too much, as if trained on a force sensor that was not zeroed
policy-brittle.onnx      v2 with a small correction, the root of what becomes negative when the rod turns quickly: NaN; its
                         author never saw that, as nobody pushed the machine in the training data
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from math import degrees
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

import rt_engine
from rt_engine import contract as c
from station.demo.machine import Machine, Push
from station.demo.physics import NOMINAL
from station.demo.rehearsal import OBSERVATION, rehearse

DATA = Path(__file__).parents[1] / "station" / "demo" / "data"
UNITS = ("m", "m/s", "rad", "rad/s", "m", "m/s", "m/s^2")
REACH = (0.6, 2.0, 0.7, 4.0, 0.2, 0.25, 0.4)
"""To both sides, as the tags of station.toml have them: a little beyond where the drives brake; what references may be."""
ANGLES = ("angle", "angular_velocity")
COPIES = 16_000
BIAS_N = 1.0
QUICK_RAD_PER_S = 0.28
"""Three times what is seen while nobody pushes; the story's push of 10 N gives 0.4."""
SEEN_RAD_PER_S = 0.27
Rows = npt.NDArray[np.float32]


def element(name: str, reach: float) -> c.Element:
    """One observation, as the station's tags have it."""
    return c.Element(name, UNITS[OBSERVATION.index(name)], low=-reach, high=reach)


FORCE = c.TensorContract("force", (c.Element("force", "N", low=-NOMINAL.force_limit_n, high=NOMINAL.force_limit_n),))
INPUTS = c.TensorContract("observation", tuple(map(element, OBSERVATION, REACH)))


def runs(path: Path, push_n: float) -> Rows:
    """What a policy observes on the machine, of both axes: three runs from the take-off on, in each a push on axis x."""
    context = rt_engine.load(path).context()
    observation, force = context.inputs["observation"], context.outputs["force"]

    def act(values: tuple[float, ...]) -> float:
        observation[0] = values
        context.run()
        return float(force[0, 0])

    rows = []
    for seed in (11, 12, 13):
        machine = Machine(seed=seed)
        machine.axes["x"].push = Push(push_n, from_s=8.0, until_s=8.2)
        rows += [shot.observations for shot in rehearse(machine, lambda _: act, 12.0, seed=seed) if shot.time_s > 3.0]
    return np.array(rows, np.float32).reshape(-1, len(OBSERVATION))


def describe(path: Path, rows: Rows, inputs: c.TensorContract, version: str, data: str) -> None:
    """Write the contract into the file."""
    some = rows[:: len(rows) // 5][:5]
    model = rt_engine.load(path)
    made = np.array([model.run({"observation": row[None]})[0][0] for row in some])
    contract = c.Contract(
        (inputs,),
        (FORCE,),
        statistics=(c.statistics_of(rows, "observation"),),
        vectors=c.vectors_of({"observation": some}, {"force": made}, atol=1e-3),
        provenance=c.Provenance(name="swing", version=version, data=data, author="examples/demo_changes.py"),
    )
    c.attach(path, contract)


def derive(source: Path, target: Path, change: Callable[[onnx.ModelProto], None]) -> Path:
    """A copy of a model with something changed, and without its contract."""
    model = onnx.load(source)
    model.ClearField("metadata_props")
    change(model)
    onnx.checker.check_model(model)
    onnx.save(model, target)
    return target


def scaled(name: str, factors: Iterable[float]) -> Callable[[onnx.ModelProto], None]:
    """The constant `name` times these factors."""
    return _rewritten(name, lambda values: values * np.array(list(factors), np.float32))


def shifted(name: str, by: float) -> Callable[[onnx.ModelProto], None]:
    """The constant `name` plus a number."""
    return _rewritten(name, lambda values: values + np.float32(by))


def _rewritten(name: str, new: Callable[[Rows], Rows]) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        tensor = next(one for one in model.graph.initializer if one.name == name)
        tensor.CopyFrom(numpy_helper.from_array(new(numpy_helper.to_array(tensor)), name))

    return change


def of_many_copies(model: onnx.ModelProto) -> None:
    """The mean over copies of the inputs, each a little apart."""
    graph = model.graph
    spread = 1e-3 * np.random.default_rng(1).standard_normal((COPIES, 1)).astype(np.float32)
    _add(graph, "spread", (spread - spread.mean()).astype(np.float16))
    _add(graph, "batch", np.array([0], np.int64))
    graph.node[0].input[0], graph.node[-1].output[0] = "copies", "forces"
    graph.node.insert(0, helper.make_node("Add", ["observation", "wide"], ["copies"]))
    graph.node.insert(0, helper.make_node("Cast", ["spread"], ["wide"], to=onnx.TensorProto.FLOAT))
    graph.node.append(helper.make_node("ReduceMean", ["forces", "batch"], ["force"], keepdims=1))
    _fix_batch(graph)


def with_root(model: onnx.ModelProto) -> None:
    """A correction below a millinewton, NaN where the rod turns quickly."""
    graph = model.graph
    graph.node[-1].output[0] = "plain"
    _add(graph, "place", np.array([OBSERVATION.index("angular_velocity")], np.int64))
    _add(graph, "most", np.array(QUICK_RAD_PER_S**2, np.float32))
    _add(graph, "little", np.array(1e-3, np.float32))
    steps = (
        ("Gather", ["observation", "place"], "turn", {"axis": 1}),
        ("Mul", ["turn", "turn"], "square", {}),
        ("Sub", ["most", "square"], "left", {}),
        ("Sqrt", ["left"], "root", {}),
        ("Mul", ["root", "little"], "correction", {}),
        ("Add", ["plain", "correction"], "force", {}),
    )
    graph.node.extend(helper.make_node(kind, given, [made], **more) for kind, given, made, more in steps)


def _add(graph: onnx.GraphProto, name: str, values: npt.NDArray[np.generic]) -> None:
    graph.initializer.append(numpy_helper.from_array(values, name))


def _fix_batch(graph: onnx.GraphProto) -> None:
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    graph.ClearField("value_info")


def main() -> None:
    """Write all of them."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA
    v1, v2 = folder / "policy-v1.onnx", folder / "policy-v2.onnx"
    pushed, calm = "three runs with a push of 10 N each", "three runs in which nobody pushed"
    describe(v1, runs(v1, 10.0), INPUTS, "1", pushed)
    rows = runs(v2, 10.0)
    describe(v2, rows, INPUTS, "2", pushed)

    last = scaled("layers.4.weight", [1.005])
    describe(derive(v2, folder / "policy-v4.onnx", last), rows, INPUTS, "4", pushed)

    factors = [degrees(1.0) if name in ANGLES else 1.0 for name in OBSERVATION]
    turned = [
        replace(e, unit=e.unit.replace("rad", "deg"), low=e.low * factor, high=e.high * factor)
        for e, factor in zip(INPUTS.elements, factors, strict=True)
    ]
    in_degrees = derive(v2, folder / "policy-degrees.onnx", scaled("scale", factors))
    describe(in_degrees, rows * np.array(factors, np.float32), replace(INPUTS, elements=tuple(turned)), "5", pushed)

    describe(derive(v2, folder / "policy-slow.onnx", of_many_copies), rows, INPUTS, "6", pushed)

    bias = shifted("layers.4.bias", BIAS_N / NOMINAL.force_limit_n)
    describe(derive(v2, folder / "policy-biased.onnx", bias), rows, INPUTS, "7", pushed)

    seen = replace(
        INPUTS,
        elements=tuple(
            replace(e, low=-SEEN_RAD_PER_S, high=SEEN_RAD_PER_S) if e.name == "angular_velocity" else e
            for e in INPUTS.elements
        ),
    )
    describe(derive(v2, folder / "policy-brittle.onnx", with_root), runs(v2, 0.0), seen, "8", calm)
    for path in sorted(folder.glob("policy-*.onnx")):
        print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
