"""Compiled programs that every later version must run to the same bits, or refuse by the name of a kernel that is gone.

    python -m tests.rt_engine.program.golden_programs        adds programs for kernels that no stored one calls, and new `_forms`

A kernel that no candidate calls needs a model in `_small()`; the command says so, and fails.

Stored programs are never made again: they are what users have on their machines. One goes only with the kernel that it needs.
golden_programs.zip: NAME.rtp, NAME.in and NAME.out, the bytes of the inputs and outputs in the order of the signature.
"""

import sys
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from zipfile import ZIP_LZMA, ZipFile, ZipInfo

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto, TensorProto, helper, numpy_helper

import rt_engine
from rt_engine.backend import bind, constant_inputs
from rt_engine.errors import EngineError, ProgramFileError
from rt_engine.program.program import Program
from rt_engine.program.rtp_writer import to_bytes
from rt_engine.run.native import KERNELS

FILE = Path(__file__).with_suffix(".zip")
MOST_BYTES = 200_000

NOT_CALLED = {"trees_f32_big": "only ensembles of more than 65,536 nodes or features call it: 2 MB for the smallest"}
"""Kernels that no stored program calls -> why."""

Ends = dict[str, tuple[int, list[int]]]
Stored = tuple[bytes, bytes, bytes]
"""Program, inputs, outputs."""


def stored() -> dict[str, Stored]:
    """Name -> what is stored."""
    if not FILE.exists():
        return {}
    with ZipFile(FILE) as file:
        names = dict.fromkeys(name.rpartition(".")[0] for name in file.namelist())
        return {name: tuple(file.read(f"{name}.{end}") for end in ("rtp", "in", "out")) for name in names}  # type: ignore[misc]


def run(model: rt_engine.Model, inputs: bytes) -> bytes:
    """The bytes of the outputs of one run."""
    context, at = model.context(), 0
    for view in context.inputs.values():
        view[...] = np.frombuffer(inputs, view.dtype, view.size, at).reshape(view.shape)
        at += view.nbytes
    context.run()
    return b"".join(view.tobytes() for view in context.outputs.values())


def verdict(name: str, entry: Stored) -> str | None:
    """What is wrong with a stored program; None if it runs to its bits."""
    program, inputs, outputs = entry
    try:
        model = rt_engine.load(program)
    except ProgramFileError as error:
        return f"{name}: {error}"
    if run(model, inputs) == outputs:
        return None
    return f"{name}: other bits than when it was stored; one of {', '.join(model.program.kernels)} means something else now"


def kernels_of(entries: dict[str, Stored]) -> set[str]:
    """Every kernel that stored programs call."""
    return {kernel for entry in entries.values() for kernel in rt_engine.load(entry[0]).program.kernels}


def every_kernel() -> set[str]:
    """Every kernel that a program can name."""
    return {name.removeprefix("k_") for name in KERNELS.exports if name.startswith("k_")}


# --- making ----------------------------------------------------------------------------------------------------------------


def _small() -> Iterator[onnx.ModelProto]:
    """Models of one node, for kernels that no other candidate calls."""
    whole, half, real = TensorProto.INT64, TensorProto.FLOAT, TensorProto.DOUBLE
    for operator in ("Abs", "Neg", "Sign", "ArgMax", "ArgMin", *_REDUCE):
        yield _node(operator, {"x": (whole, [4, 5])}, whole)
    yield _node("Equal", {"x": (TensorProto.BOOL, [9]), "z": (TensorProto.BOOL, [9])}, TensorProto.BOOL)
    yield _node("MatMul", {"x": (whole, [3, 4]), "z": (whole, [4, 5])}, whole)
    for type in (half, real):
        regions = np.array([[0, 0, 0, 5, 5], [0, 1, 1, 7, 7]], helper.tensor_dtype_to_np_dtype(type))
        yield _node("MaxRoiPool", {"x": (type, [1, 2, 8, 8])}, type, {"z": regions}, pooled_shape=[2, 2])
        yield _conv([1, 64, 8, 8], [1, 64, 1, 1], type)
    weights = np.random.default_rng(1).integers(0, 256, (9, 20)).astype(np.uint8)
    yield _node("MatMulInteger", {"x": (TensorProto.UINT8, [3, 9])}, TensorProto.INT32, {"w": weights})
    yield _conv([1, 37, 13, 18], [21, 37, 3, 3], half, pads=[1, 1, 1, 1])
    yield _conv([1, 32, 20, 20], [32, 32, 3, 3], half, pads=[1, 1, 1, 1])
    yield _trapped()
    yield _conv([1, 32, 16, 16], [32, 32, 3, 3], half, pads=[1, 1, 1, 1])
    yield _conv([1, 32, 64], [32, 32, 3], half, pads=[1, 1])
    yield _lengths()
    pruned = np.random.default_rng(1).standard_normal((128, 128)).astype(np.float32)
    pruned[np.random.default_rng(2).random((128, 8)).repeat(16, axis=1) < 0.9] = 0
    yield _node("MatMul", {"x": (half, [3, 128])}, half, {"w": pruned})
    yield _bytes_in_tiles()
    few = np.random.default_rng(1).standard_normal((5, 3, 4, 4)).astype(np.float32)
    yield _node("ConvTranspose", {"x": (half, [2, 5, 9, 12])}, half, {"w": few}, strides=[2, 2], pads=[1, 1, 1, 1])
    yield _conv([1, 3, 9, 48], [8, 3, 3, 3], half, pads=[1, 1, 1, 1], strides=[2, 2])


def _bytes_in_tiles() -> onnx.ModelProto:
    """A 3x3 convolution of bytes, with padding, whose last tiles are half outside."""
    byte, w = TensorProto.UINT8, np.random.default_rng(1).integers(-127, 128, (32, 32, 3, 3)).astype(np.int8)
    scale = np.float32(0.02), np.uint8(120)
    weights = dict(
        zip(("s", "z", "w", "ws", "wz", "ys", "yz"), (*scale, w, np.float32(0.0005), np.int8(0), *scale), strict=True)
    )
    constants = {name: np.asarray(value) for name, value in weights.items()}
    return _node("QLinearConv", {"x": (byte, [1, 32, 8, 10])}, byte, constants, pads=[1, 1, 1, 1])


def _forms() -> Iterator[onnx.ModelProto]:
    """Models whose records have fields that no stored program of their kernels had: each is stored, by its name."""
    yield _bytes_in_lines()


def _bytes_in_lines() -> onnx.ModelProto:
    """Depthwise convolutions of bytes in lines, with strides 1 and 2, and a sum whose quotient is a product."""
    rng, values, nodes = np.random.default_rng(1), {"s": np.float32(0.02), "z": np.uint8(120)}, []

    def node(operator: str, name: str, *inputs: str, **attributes: object) -> str:
        nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def depthwise(x: str, name: str, stride: int) -> str:
        values[f"{name}.w"] = rng.integers(-127, 128, (8, 1, 3, 3)).astype(np.int8)
        values[f"{name}.s"], values[f"{name}.z"] = np.float32(0.01), np.int8(0)
        w = f"{name}.w", f"{name}.s", f"{name}.z"
        return node(
            "QLinearConv", name, x, "s", "z", *w, "s", "z", group=8, pads=[1, 1, 1, 1], strides=[stride, stride]
        )

    x = node("QuantizeLinear", "q", "x", "s", "z")
    parts = [node("DequantizeLinear", f"{a}.real", depthwise(x, a, 1), "s", "z") for a in "ab"]
    values["t"] = np.float32(0.0317)
    total = node("QuantizeLinear", "c", node("Add", "sum", *parts), "t", "z")
    depthwise(total, "y", 2)
    ends = [helper.make_tensor_value_info("x", 1, [1, 8, 16, 32]), helper.make_tensor_value_info("y", 2, [1, 8, 8, 16])]
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()]
    graph = helper.make_graph(nodes, "BytesInLines", ends[:1], ends[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _lengths() -> onnx.ModelProto:
    """What a detector does behind the boxes that it finds."""
    nodes = [
        helper.make_node("NonZero", ["x"], ["found"]),
        helper.make_node("Gather", ["found", "row"], ["index"], axis=0),
        helper.make_node("Gather", ["x", "index"], ["rows"]),
        helper.make_node("Concat", ["rows", "x"], ["y"], axis=0),
    ]
    row = numpy_helper.from_array(np.array(0), "row")
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])
    graph = helper.make_graph(nodes, "lengths", [x], [y], [row])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


_REDUCE = ("ReduceL1", "ReduceL2", "ReduceMean", "ReduceProd", "ReduceSum", "ReduceSumSquare")


def _node(
    operator: str, inputs: Ends, result: int, weights: dict[str, np.ndarray] | None = None, domain: str = "",
    **attributes: object,
) -> onnx.ModelProto:  # fmt: skip
    """One node of ONNX's opset 17, or of version 1 of another domain."""
    constants = [numpy_helper.from_array(value, name) for name, value in (weights or {}).items()]
    node = helper.make_node(operator, [*inputs, *(c.name for c in constants)], ["y"], domain=domain, **attributes)
    ends = [helper.make_tensor_value_info(name, *end) for name, end in inputs.items()]
    axes = [f"axis{i}" for i in range(len(inputs["x"][1]))]
    graph = helper.make_graph([node], operator, ends, [helper.make_tensor_value_info("y", result, axes)], constants)
    opsets = {"": 17} if not domain else {"": 17, domain: 1}
    return helper.make_model(graph, opset_imports=[helper.make_opsetid(*o) for o in opsets.items()], ir_version=8)


def _trapped() -> onnx.ModelProto:
    """An If of which one branch does not fit."""
    value = helper.make_tensor_value_info
    branches = {}
    for name, size in (("then_branch", 6), ("else_branch", 3)):
        w = helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(np.ones((size, 1), np.float32)))
        nodes = [w, helper.make_node("MatMul", ["x", "w"], [name])]
        branches[name] = helper.make_graph(nodes, name, [], [value(name, TensorProto.FLOAT, None)])
    ends = [value("x", TensorProto.FLOAT, [1, 6]), value("c", TensorProto.BOOL, [])]
    node = helper.make_node("If", ["flag"], ["y"], **branches)
    nodes = [helper.make_node("Or", ["c", "true"], ["flag"]), node]
    true = numpy_helper.from_array(np.array(True), "true")
    graph = helper.make_graph(nodes, "Trap", ends, [value("y", TensorProto.FLOAT, [1, 1])], [true])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def _conv(x: list[int], w: list[int], type: int, **attributes: object) -> onnx.ModelProto:
    values = np.random.default_rng(1).standard_normal(w) / 8
    weights = {"w": values.astype(helper.tensor_dtype_to_np_dtype(type))}
    return _node("Conv", {"x": (type, x)}, type, weights, **attributes)


Candidate = tuple[str, Program, dict[str, np.ndarray]]
"""Name, program, inputs."""


def _candidates(models: Iterable[onnx.ModelProto]) -> Iterator[Candidate]:
    """Small models, named after their graph and input."""
    for proto in models:
        model = rt_engine.load(proto)
        shape = "_".join(map(str, model.inputs[0].shape))
        yield f"{proto.graph.name}_{shape}_{model.inputs[0].dtype}", model.program, _random(model)


def _large_candidates() -> Iterator[Candidate]:
    """Our own models, those of exporters, those of ONNX's suite, and the last in float64."""
    from tests.conformance.suite import cases, excluded
    from tests.plc_bindings.c.models import GOLDEN, MODELS

    for kind, make in MODELS.items():
        model = make()
        yield kind, model.program, _random(model)
    for path in sorted(GOLDEN.glob("*.onnx")):
        try:
            model = rt_engine.load(path)
        except EngineError:
            continue
        yield path.stem, model.program, _random(model)
    for case in cases().values():
        if excluded(case.name) or not case.numeric:
            continue
        names = [v.name for v in case.model.graph.input if v.name not in {t.name for t in case.model.graph.initializer}]
        feeds = dict(zip(names, case.data[0][0], strict=True))
        constants = {name: feeds.pop(name) for name in constant_inputs(case.model) & set(feeds)}
        bound = bind(case.model, constants)
        doubled = {n: v.astype(np.float64) if v.dtype == np.float32 else v for n, v in feeds.items()}
        for name, model_proto, values in ((case.name, bound, feeds), (f"{case.name}_f64", _doubled(bound), doubled)):
            try:
                program = rt_engine.load(model_proto, {n: v.shape for n, v in values.items()}).program
            except (EngineError, ValueError):
                continue
            yield name, program, values


def _random(model: rt_engine.Model) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {s.name: np.asarray(rng.standard_normal(s.shape) * 2).astype(s.dtype) for s in model.inputs}


def _doubled(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with float64 for float32, everywhere."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    _double(changed.graph)
    return changed


def _double(graph: GraphProto) -> None:
    del graph.value_info[:]
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            value.type.tensor_type.elem_type = TensorProto.DOUBLE
    attributes = [a for node in graph.node for a in node.attribute]
    tensors = [*graph.initializer, *(a.t for a in attributes if a.type == AttributeProto.TENSOR)]
    for tensor in tensors:
        if tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))
    for attribute in attributes:
        if attribute.name == "to" and attribute.i == TensorProto.FLOAT:
            attribute.i = TensorProto.DOUBLE
        if attribute.type == AttributeProto.GRAPH:
            _double(attribute.g)


def _chosen(missing: set[str], candidates: Iterable[Candidate]) -> dict[str, Stored]:
    """The fewest bytes of programs, by a greedy choice, that call missing kernels; what they call is missing no more."""
    useful = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, program, feeds in candidates:
            if missing & set(program.kernels) and program.weight_nbytes < MOST_BYTES:
                useful.append((name, program, feeds, len(to_bytes(program))))
    chosen: dict[str, Stored] = {}
    while useful:
        best = max(useful, key=lambda entry: len(missing & set(entry[1].kernels)) / (entry[3] + 2000))
        name, program, feeds, _ = best
        useful.remove(best)
        if not missing & set(program.kernels):
            break
        missing -= set(program.kernels)
        chosen[name] = _entry(program, feeds)
    return chosen


def _entry(program: Program, feeds: dict[str, np.ndarray]) -> Stored:
    inputs = b"".join(np.asarray(feeds[p.spec.name]).astype(p.spec.dtype).tobytes() for p in program.inputs)
    data = to_bytes(program)
    return data, inputs, run(rt_engine.load(data), inputs)


def without_program(entries: dict[str, Stored]) -> set[str]:
    """The kernels that no stored program calls, but one should."""
    return every_kernel() - kernels_of(entries) - set(NOT_CALLED)


def added_to(entries: dict[str, Stored]) -> dict[str, Stored]:
    """Programs that call what the stored ones do not: of the small candidates, then, if need be, of all others; and new forms."""
    missing = without_program(entries)
    added = {name: _entry(program, feeds) for name, program, feeds in _candidates(_forms()) if name not in entries}
    added |= _chosen(missing, _candidates(_small())) if missing else {}
    return added | _chosen(missing, _large_candidates()) if missing else added


def main() -> None:
    """Add what is missing, and say what is left."""
    entries = stored()
    added = added_to(entries)
    with ZipFile(FILE, "a", ZIP_LZMA) as file:
        for name, parts in added.items():
            for end, data in zip(("rtp", "in", "out"), parts, strict=True):
                file.writestr(ZipInfo(f"{name}.{end}"), data, ZIP_LZMA)
    print(f"{len(added)} programs added, {len(entries) + len(added)} in all, {FILE.stat().st_size:,} bytes")
    if left := without_program(stored()):
        sys.exit(
            f"{len(left)} kernels that none calls: {' '.join(sorted(left))}; add a model that calls it to _small()"
        )


if __name__ == "__main__":
    main()
