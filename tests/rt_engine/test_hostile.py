"""Models made to hurt: each is refused with an error of ours, quickly, before memory is asked for."""

import json
import re
import resource
import subprocess
from itertools import pairwise

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import rt_engine
from rt_engine.errors import EngineError, InvalidModelError, ModelFileError, RunError, ShapeBindingError
from rt_engine.passes import loops, sequences
from rt_engine.status import Status
from tests.fuzz.campaign import campaign
from tests.fuzz.mutate import DOORS, PLANTED

TRILLION, HUGE = 10**12, 1 << 62
IMAGE, TAPS = (1, 1, 8, 8), np.ones((1, 1, 3, 3), np.float32)


def one(operator, operands, shapes=(), output=(1, 1, 6, 6), opset=17, dtype=np.float32, **attributes):
    """A model of one node; `shapes` are those of its inputs, which come before the constant operands."""
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    inputs = [helper.make_tensor_value_info(f"x{i}", TensorProto.FLOAT, s) for i, s in enumerate(shapes)]
    names = [f"c{i}" for i in range(len(operands))]
    graph = helper.make_graph(
        [helper.make_node(operator, [*(i.name for i in inputs), *names], ["y"], **attributes)],
        "g",
        inputs,
        [helper.make_tensor_value_info("y", kind, output)],
        [numpy_helper.from_array(np.asarray(v), n) for v, n in zip(operands, names, strict=True)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def longs(*values):
    return np.array(values, np.int64)


def floats(*values):
    return np.array(values, np.float32)


GIANTS = {
    "Expand": one("Expand", [floats(1), longs(TRILLION)]),
    "Expand in two": one("Expand", [np.ones((1, 1), np.float32), longs(1 << 32, 1 << 32)]),
    "Tile": one("Tile", [floats(1), longs(TRILLION)]),
    "Tile at run time": one("Tile", [longs(TRILLION, TRILLION)], [(4, 4)]),
    "ConstantOfShape": one("ConstantOfShape", [longs(TRILLION)]),
    "Range": one("Range", [np.int64(0), np.int64(TRILLION), np.int64(1)], dtype=np.int64),
    "Range of floats": one("Range", [np.float32(0), np.float32(1), np.float32(1e-12)]),
    "Range without a step": one("Range", [np.int64(0), np.int64(4), np.int64(0)], dtype=np.int64),
    "Range of NaN": one("Range", [np.float32(0), np.float32(np.nan), np.float32(1)]),
    "Pad": one("Pad", [floats(1), longs(TRILLION, TRILLION)]),
    "Pad of less than nothing": one("Pad", [floats(1), longs(-TRILLION, -TRILLION)]),
    "Pad at run time": one("Pad", [longs(0, TRILLION, 0, TRILLION)], [(4, 4)]),
    "OneHot": one("OneHot", [longs(1, 2), np.int64(TRILLION), floats(0, 1)]),
    "Resize": one("Resize", [floats(), floats(1, 1, 1e9, 1e9)], [IMAGE]),
    "Resize by NaN": one("Resize", [floats(), floats(1, 1, np.nan, np.inf)], [IMAGE]),
    "Resize to sizes": one("Resize", [floats(), floats(), longs(1, 1, TRILLION, TRILLION)], [IMAGE]),
    "Transpose of many axes": one("Transpose", [], [(4, 4)], perm=list(range(100_000))),
    "Slice of many axes": one("Slice", [], [(4, 4)], opset=9, starts=[0] * 100_000, ends=[1] * 100_000),
    "axis far out": one("LayerNormalization", [np.ones(4, np.float32)], [(4, 4)], axis=1 << 31),
    "batches before the first": one("GatherND", [longs([0], [1])], [(2, 2, 2)], batch_dims=-6),
    "TopK of more than there is": one("TopK", [longs(TRILLION)], [(4, 4)]),
    "TopK of less than nothing": one("TopK", [longs(-1)], [(4, 4)]),
    "Gather behind the end": one("Gather", [longs(9)], [(4, 4)]),
}
_WINDOWS = {
    "strides": ([0, 0], [-1, 1], [1]),
    "pads": ([HUGE] * 4, [-5] * 4, [1 << 30] * 4, [1]),
    "dilations": ([HUGE, HUGE], [0, 0], [-3, 1], [1]),
    "kernel_shape": ([1 << 40, 1], [0, 0], [-3, 3], [3]),
    "auto_pad": ("NONSENSE",),
    "group": (0, -1, HUGE, 7),
}
for _name, _values in _WINDOWS.items():
    for _value in _values:
        GIANTS[f"Conv {_name} {_value}"] = one("Conv", [TAPS], [IMAGE], **{_name: _value})
        GIANTS[f"ConvTranspose {_name} {_value}"] = one("ConvTranspose", [TAPS], [IMAGE], **{_name: _value})
        if _name not in ("group", "dilations"):
            for _operator in ("MaxPool", "AveragePool", "LpPool"):
                attributes = {"kernel_shape": [3, 3], _name: _value}
                GIANTS[f"{_operator} {_name} {_value}"] = one(_operator, [], [IMAGE], **attributes)


@pytest.mark.parametrize("name", GIANTS)
def test_it_is_refused_at_load(name):
    """With an error of ours, and without the memory that it asks for."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(EngineError):
        rt_engine.load(GIANTS[name])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def _field(number: int, content: bytes) -> bytes:
    """A field of Protobuf's wire format: tag, length, bytes."""
    length, tag = len(content), bytes([number << 3 | 2])
    digits = b""
    while length > 127:
        digits += bytes([length & 127 | 128])
        length >>= 7
    return tag + digits + bytes([length]) + content


def nested(depth: int) -> bytes:
    """A model of If in If in If ...; written byte by byte, since Protobuf's own classes refuse to make it."""
    leaf = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["b"])], "g", [], [helper.make_tensor_value_info("b", 1, [1, 4])]
    ).SerializeToString()
    output, graph_kind = helper.make_tensor_value_info("b", 1, [1, 4]).SerializeToString(), b"\xa0\x01\x05"
    graph = leaf
    for _ in range(depth):
        branches = [
            _field(5, _field(1, n) + _field(6, g) + graph_kind)
            for n, g in ((b"then_branch", graph), (b"else_branch", leaf))
        ]
        node = _field(1, b"c") + _field(2, b"b") + _field(4, b"If") + b"".join(branches)
        graph = _field(1, node) + _field(2, b"g") + _field(12, output)
    for value in (("x", 1, [1, 4]), ("c", TensorProto.BOOL, [])):
        graph += _field(11, helper.make_tensor_value_info(*value).SerializeToString())
    head = helper.make_model(
        helper.make_graph([], "", [], []), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    head.ClearField("graph")
    return head.SerializeToString() + _field(7, graph)


@pytest.mark.parametrize("depth", [100, 1000, 10_000])
def test_sub_graphs_nested_deeply_are_refused(depth):
    """No stack overflows."""
    with pytest.raises(ModelFileError):
        rt_engine.load(nested(depth))


def test_long_chains_are_fine():
    """10,000 nodes in a row need no deep stack."""
    nodes = [helper.make_node("Neg", [f"v{i}"], [f"v{i + 1}"]) for i in range(10_000)]
    ends = [helper.make_tensor_value_info(n, 1, [4]) for n in ("v0", "v10000")]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:])
    model = rt_engine.load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))
    assert np.array_equal(model.run({"v0": floats(1, 2, 3, 4)})[0], floats(1, 2, 3, 4))


def test_a_cycle_of_external_data_is_refused(tmp_path):
    """A link that leaves the folder, and one that points at itself."""
    (tmp_path / "out").symlink_to("/etc")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    for location in ("out/passwd", "self", "out"):
        model = one("Add", [floats(1)], [(1,)], output=(1,))
        weight = model.graph.initializer[0]
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        weight.external_data.add(key="location", value=location)
        path = tmp_path / "m.onnx"
        path.write_bytes(model.SerializeToString())
        with pytest.raises((ModelFileError, InvalidModelError)):
            rt_engine.load(path)


@pytest.mark.parametrize(("offset", "length"), [("0", "999999999999"), ("-4", "4"), ("999999999999", "4"), ("x", "y")])
def test_external_data_beyond_its_file_is_refused(tmp_path, offset, length):
    """Offsets and lengths that lie."""
    (tmp_path / "w.bin").write_bytes(b"\0" * 4)
    model = one("Add", [floats(1)], [(1,)], output=(1,))
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "w.bin"), ("offset", offset), ("length", length)):
        weight.external_data.add(key=key, value=value)
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises((ModelFileError, InvalidModelError)):
        rt_engine.load(path)


def test_weights_of_nan_are_weights():
    """NaN and inf in weights are IEEE's business: the result is NaN where it must be, and nothing else happens."""
    weights = np.ones((4, 2), np.float32)
    weights[0, 0] = np.nan
    model = rt_engine.load(one("MatMul", [weights], [(1, 4)], output=(1, 2)))
    (y,) = model.run({"x0": np.ones((1, 4), np.float32)})
    assert np.isnan(y[0, 0])
    assert y[0, 1] == 4


def at_run_time(operator, operands, index_at, output, dtype=np.float32, **attributes):
    """A model of one node whose operand `index_at` is an input, "i"."""
    names = [f"c{k}" if k != index_at else "i" for k in range(len(operands))]
    graph = helper.make_graph(
        [helper.make_node(operator, names, ["y"], **attributes)],
        "g",
        [helper.make_tensor_value_info("i", TensorProto.INT64, list(operands[index_at].shape))],
        [helper.make_tensor_value_info("y", helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), output)],
        [numpy_helper.from_array(v, n) for v, n in zip(operands, names, strict=True) if n != "i"],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


DATA = np.arange(12, dtype=np.float32).reshape(3, 4)
INDEXED = {
    "Gather": at_run_time("Gather", [DATA, longs(0)], 1, (1, 4)),
    "GatherElements": at_run_time("GatherElements", [DATA, longs([0])], 1, (1, 1)),
    "GatherND": at_run_time("GatherND", [DATA, longs([0])], 1, (1, 4)),
    "ScatterElements": at_run_time("ScatterElements", [DATA, longs([0]), floats([1])], 1, (3, 4)),
    "ScatterND": at_run_time("ScatterND", [DATA, longs([0]), np.ones((1, 4), np.float32)], 1, (3, 4)),
}


@pytest.mark.parametrize("name", INDEXED)
@pytest.mark.parametrize("index", [99, -99, (1 << 63) - 1, -(1 << 63)])
def test_an_index_out_of_range_is_a_status(name, index):
    """At run time, an index that points outside of its tensor ends the run with a status."""
    context = rt_engine.load(INDEXED[name]).context()
    context.inputs["i"][...] = 0
    context.run()
    context.inputs["i"][...] = index
    with pytest.raises(RunError) as caught:
        context.run()
    assert caught.value.status is Status.INDEX_OUT_OF_RANGE


def loop(name, start, nodes):
    """A loop, `most` times, of nodes that make `NAME.h2` of `NAME.h`."""
    ends = [
        helper.make_tensor_value_info(f"{name}.{n}", t, [])
        for n, t in (("i", TensorProto.INT64), ("go", TensorProto.BOOL))
    ]
    carried = [helper.make_tensor_value_info(f"{name}.{n}", TensorProto.FLOAT, None) for n in ("h", "h2")]
    on = helper.make_tensor_value_info(f"{name}.on", TensorProto.BOOL, [])
    nodes = [*nodes, helper.make_node("Identity", [f"{name}.go"], [f"{name}.on"])]
    body = helper.make_graph(nodes, name, [*ends, carried[0]], [on, carried[1]])
    return helper.make_node("Loop", ["most", "true", start], [f"{name}.y"], body=body)


def looped(start, most, operator, depth):
    """Loops within loops: x [1] -> y."""
    inner = []
    for level in range(depth):
        name, source = f"l{level}", f"l{level - 1}.y" if level else f"l{level}.h"
        more = helper.make_node(
            operator, [source, "one"], [f"{name}.h2"], **({"axis": 0} if operator == "Concat" else {})
        )
        inner = [loop(name, f"l{level + 1}.h" if level < depth - 1 else start, [*inner, more])]
    end = helper.make_node("ReduceSum", [inner[0].output[0]], ["s"], keepdims=0)
    constants = {"most": np.array(most), "true": np.array(True), "one": floats(1)}
    return whole([*inner, end, helper.make_node("Add", ["x", "s"], ["y"])], constants)


def whole(nodes, constants=(), size=1, **more):
    """A model: x [size] -> y."""
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", [size]), ("y", None))]
    tensors = [numpy_helper.from_array(v, n) for n, v in dict(constants).items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors, sparse_initializer=more.get("sparse", []))
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("d", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9, functions=more.get("functions", []))


def chained(count, calls):
    """Functions of which each calls the next one, this often."""
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("d", 1)]
    functions = []
    for k in range(count):
        names = ["a", *(f"v{i}" for i in range(calls - 1)), "b"]
        nodes = [helper.make_node(f"f{k + 1}", [a], [b], domain="d") for a, b in pairwise(names)]
        nodes = nodes if k < count - 1 else [helper.make_node("Neg", ["a"], ["b"])]
        functions.append(helper.make_function("d", f"f{k}", ["a"], ["b"], nodes, opsets))
    return whole([helper.make_node("f0", ["x"], ["y"], domain="d")], functions=functions)


def many_sparse():
    """Sparse tensors of one number each, of 128 MiB when they are dense."""
    tensors = [
        helper.make_sparse_tensor(
            numpy_helper.from_array(floats(1), f"w{k}"), numpy_helper.from_array(longs(0), "i"), [1 << 25]
        )
        for k in range(20)
    ]
    return whole([helper.make_node("Sum", ["x", *(f"w{k}" for k in range(20))], ["y"])], sparse=tensors)


def many_sequences():
    nodes = [helper.make_node("SplitToSequence", ["x"], [f"s{k}"]) for k in range(20)]
    return whole([*nodes, helper.make_node("SequenceAt", ["s0", "i"], ["y"])], {"i": longs(0)}, size=4000)


def product_of_constants():
    nodes = [helper.make_node("ConstantOfShape", ["n"], ["a"]), helper.make_node("MatMul", ["a", "a"], ["b"])]
    nodes += [helper.make_node("ReduceSum", ["b"], ["s"], keepdims=0), helper.make_node("Add", ["x", "s"], ["y"])]
    return whole(nodes, {"n": longs(4500, 4500)})


BOMBS = {
    "loops of constants": (lambda: looped("one", 1_000_000, "Add", 3), "very long"),
    "loops of inputs": (lambda: looped("x", 1_000_000, "Add", 3), "very long"),
    "loops that become nodes": (lambda: looped("x", 40, "Concat", 2), "loops that become"),
    "loops that are tried again": (lambda: looped("x", 1, "Concat", 20), "loops that become"),
    "a product of constants": (product_of_constants, "very long"),
    "functions that call two": (lambda: chained(40, 2), "put in place"),
    "functions in functions": (lambda: chained(3000, 1), "put in place"),
    "functions in a circle": (lambda: circle(), "[Cc]ycle"),
    "sparse tensors": (many_sparse, "dense form"),
    "sequences": (many_sequences, "sequences of more"),
}


def circle():
    model = chained(3, 1)
    model.functions[2].node[0].op_type, model.functions[2].node[0].domain = "f0", "d"
    return model


@pytest.mark.parametrize("name", BOMBS)
def test_what_multiplies_is_refused(name, monkeypatch):
    """A few bytes that ask for years, or for more memory than there is."""
    monkeypatch.setattr(loops, "MOST_TOGETHER", 2_000)
    monkeypatch.setattr(sequences, "MOST_TOGETHER", 2_000)
    make, words = BOMBS[name]
    with pytest.raises(EngineError, match=words):
        rt_engine.load(make())


def test_one_number_is_no_value_of_a_giant():
    """`values` fill the shape of an input."""
    with pytest.raises(ShapeBindingError, match="too many for a value"):
        rt_engine.load(whole([helper.make_node("Neg", ["x"], ["y"])], size=1 << 33), values={"x": 1.0})


def test_loops_within_bounds_still_become_nodes():
    """What is refused is what multiplies, not loops in loops."""
    model = rt_engine.load(looped("x", 3, "Concat", 2))
    assert model.run({"x": floats(2)})[0] == 2 + 2 + 3 * 4


def test_the_guards_see_a_kernel_that_leaves_its_memory():
    """A record with wrong sizes ends the worker, and its parent says so."""
    outcome = campaign(first=PLANTED, count=1, seconds=250)
    assert outcome.words["crash"] == 1
    assert re.search("planted.*ended with -", outcome.faults[0])


@pytest.mark.slow
def test_mutants_of_what_was_opened_last():
    """Strings, sequences, sparse tensors, functions, loops, lengths of the run: as above."""
    outcome = campaign(first=DOORS, count=300, seconds=250)
    assert not outcome.faults
    assert outcome.words["runs"] > 20


@pytest.mark.slow
def test_mutants():
    """Structured mutants of good models, in a process of its own: no crash, no hang, no write out of bounds."""
    outcome = campaign(first=1_000_000, count=400, seconds=250)
    assert not outcome.faults
    assert outcome.words["runs"] > 20
    assert re.search("Error", str(outcome.words))


def test_the_watcher_sees_what_it_must(monkeypatch):
    """A worker that dies is a fault, and the campaign goes on behind it; a slow or greedy mutant is a fault too."""
    lines = [
        {"number": 0, "seed": "a", "bytes": 9, "word": "runs", "seconds": 99, "memory": 0},
        {"number": 1, "seed": "a", "bytes": 9, "word": "runs", "seconds": 0, "memory": 1 << 40},
        {"number": 2, "seed": "a", "bytes": 9, "word": "FAULT x", "seconds": 0, "memory": 0},
    ]
    results = [
        subprocess.CompletedProcess([], -11, "\n".join(map(json.dumps, lines)), "stack"),
        subprocess.CompletedProcess([], 0, json.dumps({**lines[0], "seconds": 0}), ""),
    ]
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: results.pop(0))
    outcome = campaign(0, 5)
    assert [re.search("took 99|MiB|FAULT|ended with -11", f)[0] for f in outcome.faults] == [
        "took 99",
        "MiB",
        "FAULT",
        "ended with -11",
    ]
    assert not results


def test_a_worker_that_cannot_begin_ends_the_campaign(monkeypatch):
    """Else each of a million mutants would be a crash of its own, one process after the other."""
    monkeypatch.setattr(
        subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 1, "", "No module named 'x'")
    )
    with pytest.raises(RuntimeError, match="before its first mutant: No module named 'x'"):
        campaign(0, 5)
