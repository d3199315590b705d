"""Layers that work row by row are cut together: whatever piece is done first, the bits are those of the whole."""

from itertools import pairwise

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import rt_engine
from rt_engine.kernels.interface.conv import CONV
from rt_engine.kernels.interface.record import RECORD
from rt_engine.run.axes import FAMILIES, Reading, is_over
from rt_engine.run.elsewhere import ELSEWHERE, moved_elsewhere
from rt_engine.run.strips import MOST, Strips
from rt_engine.run.team import Team
from rt_native.memory import Block
from tests.rt_engine.program.golden_programs import stored
from tests.rt_engine.run.cutting import bits_of, feeds_of


def _loaded(nodes, shape, weights, result=None, sizes=()):
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, shape),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, result),
    ]
    rng = np.random.default_rng(0)
    constants = [
        numpy_helper.from_array((rng.standard_normal(s) / 8).astype(np.float32), n) for n, s in weights.items()
    ]
    constants += [numpy_helper.from_array(np.array(sizes, np.int64), "s")] if sizes else []
    graph = helper.make_graph(
        [helper.make_node(*node, **more) for *node, more in nodes], "g", ends[:1], ends[1:], constants
    )
    return rt_engine.load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9))


def _matrices(rows=70):
    """Products with what was given added, normalised."""
    nodes = [
        ("MatMul", ["x", "a"], ["p"], {}), ("Add", ["p", "x"], ["s"], {}), ("LayerNormalization", ["s", "g", "b"], ["n"], {}),
        ("MatMul", ["n", "a"], ["q"], {}), ("Tanh", ["q"], ["t"], {}), ("Softmax", ["t"], ["y"], {}),
    ]  # fmt: skip
    return _loaded(nodes, [rows, 96], {"a": (96, 96), "g": (96,), "b": (96,)})


def _image():
    """1x1, an activation and what lies in parts beside each other; 3x3 and stride 2 between them."""
    nodes = [
        ("Conv", ["x", "a"], ["c"], {}), ("Sigmoid", ["c"], ["g"], {}), ("Mul", ["c", "g"], ["m"], {}),
        ("Split", ["m"], ["u", "v"], {"axis": 1, "num_outputs": 2}), ("Conv", ["v", "d"], ["e"], {"pads": [1] * 4}),
        ("Add", ["e", "v"], ["r"], {}), ("Concat", ["u", "v", "r"], ["k"], {"axis": 1}), ("Conv", ["k", "f"], ["h"], {}),
        ("Conv", ["h", "w"], ["z"], {"group": 16, "strides": [2, 2]}), ("Conv", ["z", "o"], ["y"], {}),
    ]  # fmt: skip
    weights = {"a": (32, 24, 1, 1), "d": (16, 16, 3, 3), "f": (16, 48, 1, 1), "w": (16, 1, 3, 3), "o": (40, 16, 1, 1)}
    return _loaded(nodes, [1, 24, 30, 31], weights)


def _integers(channels=24, height=20, width=33):
    """Of bytes: 1x1, a depthwise convolution of a picture with a margin, 1x1, a sum, a table, 1x1."""
    rng, nodes, weights = (
        np.random.default_rng(0),
        [],
        {"s": np.float32(0.05), "z": np.uint8(120), "o": np.float32(0.01), "n": np.int8(0)},
    )

    def node(operator, *names, **more):
        nodes.append(helper.make_node(operator, [n for n in names if n], [f"t{len(nodes)}"], **more))
        return nodes[-1].output[0]

    def coded(name):
        return node("DequantizeLinear", node("QuantizeLinear", name, "s", "z"), "s", "z")

    def conv(name, outputs, inputs, size, **more):
        weights[f"w{len(nodes)}"] = rng.integers(-60, 60, (outputs, inputs, size, size)).astype(np.int8)
        return coded(node("Conv", name, node("DequantizeLinear", f"w{len(nodes)}", "o", "n"), **more))

    first = conv(coded("x"), channels, channels, 1)
    deep = conv(first, channels, 1, 3, group=channels, pads=[1] * 4)
    total = coded(node("Add", conv(deep, channels, channels, 1), first))
    last = conv(coded(node("Sigmoid", total)), 2 * channels, channels, 1)
    ends = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, s)
        for n, s in (("x", [1, channels, height, width]), (last, None))
    ]
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], constants)
    return rt_engine.load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9))


def _upright():
    """Few channels: pixels of a row lie side by side, and lines of the depthwise convolution stand upright."""
    return _integers(channels=16, height=30, width=32)


def _odd():
    """Rows of an odd number of bytes, and an odd number of them in a half."""
    return _integers(channels=33, height=5, width=10)


def _margin():
    """Matrices that get a margin."""
    nodes = [("Mul", ["x", "x"], ["m"], {}), ("Pad", ["m", "s"], ["p"], {}), ("MatMul", ["p", "a"], ["y"], {})]
    return _loaded(nodes, [300, 64], {"a": (68, 16)}, sizes=[1, 4, 8, 0])


def _found(model, threads=2):
    program = model.program
    strips = Strips(program, program.records, [True] * len(program.records))
    return strips, list(strips.longest(threads))


def _cut(model, threads, parts, backwards):
    """The program's records, those of strips piece after piece."""
    strips, found = _found(model, threads)
    rows, at = [], 0
    for strip in found:
        rows += model.program.records[at : strip.first].tolist()
        pieces = strips.pieces(strip, parts)
        rows += [step.record.tolist() for piece in (pieces[::-1] if backwards else pieces) for step in piece]
        at = strip.end
    rows += model.program.records[at:].tolist()
    records = Block(RECORD.itemsize * max(len(rows), 1)).view(RECORD, 0, len(rows))
    records[:] = np.array(rows, RECORD)
    return records, found


def test_no_piece_takes_memory_for_weights():
    """The lowest bit of an operand says which it is: pieces begin at even bytes, or what they write goes among the weights."""
    program = (model := _odd()).program
    names = [program.kernels[int(kernel)] for kernel in program.records["kernel"]]
    strips, found = _found(model)
    assert found
    for strip, parts in ((strip, parts) for strip in found for parts in (2, 3, 7)):
        for at, step in (
            (at, step) for piece in strips.pieces(strip, parts) for at, step in enumerate(piece, strip.first)
        ):
            assert (step.record["operand"] % 2 == program.records[at]["operand"] % 2).all(), names[at]


@pytest.mark.parametrize("make", [_matrices, _image, _integers, _upright, _odd, _margin])
def test_a_strip_may_be_done_in_any_order(make):
    model = make()
    context, feeds = model.context(), feeds_of(model)
    whole = bits_of(context, feeds, model.program.records)
    for threads, parts in ((2, 2), (2, 7), (3, 3)):
        for backwards in (False, True):
            records, found = _cut(model, threads, parts, backwards)
            assert found
            assert bits_of(context, feeds, records) == whole


def test_strips_of_golden_programs_give_their_bits():
    found = 0
    for program, _, _ in stored().values():
        model = rt_engine.load(program)
        if {"jump", "loop"} & set(model.program.kernels) or not _found(model)[1]:
            continue
        context, feeds = model.context(), feeds_of(model)
        whole = bits_of(context, feeds, model.program.records)
        records, strips = _cut(model, 2, 4, backwards=True)
        found += len(strips)
        assert bits_of(context, feeds, records) == whole
    assert found


def test_layers_between_which_nobody_waits_are_one_fan_out():
    model = _matrices(1024)
    (strip,) = _found(model)[1]
    assert (strip.first, strip.end) == (0, len(model.program.records))
    assert [cut.axis.size for cut in strip.cuts].count("rows") >= 4
    team, context = Team(2), model.context(1)
    assert team.admit(context)
    context.run()
    assert team.stats().fan_outs == 1


def test_what_reads_the_rows_beside_its_own_ends_a_strip():
    """And so does what writes where a piece of an earlier layer may still read."""
    model = _image()
    names = [model.program.kernels[int(kernel)] for kernel in model.program.records["kernel"]]
    strips = [names[strip.first : strip.end] for strip in _found(model)[1]]
    assert ["copy_blocks", "copy_blocks", "copy_blocks", "conv_f32"] in strips  # Concat, 1x1
    assert ["depthwise_f32", "conv_f32"] in strips
    assert ["swish_f32", "copy_blocks", "copy_blocks"] in strips  # the convolution before it writes over what it reads
    assert not any(name.startswith(("winograd", "depthwise")) for strip in strips for name in strip[1:])


def test_layers_of_integers_are_one_fan_out_too():
    """Lines of a depthwise convolution are cut along the rows of the picture, whichever way they go."""
    for make, along in ((_integers, "pixels"), (_upright, "count")):
        program = make().program
        names = [program.kernels[int(kernel)] for kernel in program.records["kernel"]]
        found = [names[strip.first : strip.end] for strip in _found(make())[1]]
        assert ["qgemm", "qadd", "lookup_1", "qgemm"] in found
        family, record = FAMILIES["qdepthwise"], program.records[names.index("qdepthwise")]
        assert family.axes(Reading(family.fields, record), family.item)[-1].size == along


def test_a_margin_is_cut_where_what_is_copied_into_it_is():
    """The copy's pieces begin there, so that none writes over what another has copied."""
    model = _margin()
    names = [model.program.kernels[int(kernel)] for kernel in model.program.records["kernel"]]
    (strip,) = (s for s in _found(model)[1] if "fill" in names[s.first : s.end])
    at = names.index("fill")
    margin, copied = strip.cuts[at - strip.first : at - strip.first + 2]
    assert names[at + 1].startswith("copy") and margin.axis.size == "nbytes"
    assert margin.borders[1] * copied.borders[-1] != copied.borders[1] * margin.borders[-1]  # not at the same part


def test_split_works_channels_last():
    """Nothing is transposed for it: only what comes in and goes out."""
    program = _image().program
    assert [program.kernels[int(kernel)] for kernel in program.records["kernel"]].count("copy_strided_4") == 2


def test_an_input_that_is_written_over_lies_elsewhere():
    """A convolution whose output takes its input's place is cut too, and what made the input wrote it elsewhere."""
    nodes = [
        ("Conv", ["x", "w"], ["c"], {"group": 8, "pads": [1] * 4}), ("Conv", ["c", "a"], ["d"], {}),
        ("Conv", ["d", "v"], ["e"], {"group": 16, "pads": [1] * 4, "strides": [2, 2]}), ("Conv", ["e", "b"], ["y"], {}),
    ]  # fmt: skip
    weights = {"w": (8, 1, 3, 3), "a": (16, 8, 1, 1), "v": (16, 1, 3, 3), "b": (24, 16, 1, 1)}
    model = _loaded(nodes, [1, 8, 144, 144], weights)
    program = model.program
    at = [program.kernels[int(kernel)] for kernel in program.records["kernel"]].index("conv_f32")
    moved, nbytes = moved_elsewhere(program, program.records, [])
    assert nbytes >= 144 * 144 * 8 * 4
    changed = np.argwhere(moved["operand"] != program.records["operand"]).tolist()
    out, x = CONV.places["out"].index, CONV.places["x"].index
    assert changed == [[at - 1, out], [at, x]] and (moved["operand"] >= ELSEWHERE).sum() == 2
    span = (int(program.records["operand"][at, x]), int(program.records["operand"][at, x]) + 1)
    assert moved_elsewhere(program, program.records, [span])[1] == 0  # what outlives a run stays
    context, feeds, team = model.context(1), feeds_of(model), Team(2)
    assert team.admit(context) and context._fanned.own_nbytes >= nbytes
    single = model.context(1)
    for run in (single, context, context):
        run.inputs["x"][...] = feeds["x"]
        run.run()
        assert run.outputs["y"].tobytes() == single.outputs["y"].tobytes()


def test_what_had_the_place_of_an_input_before_is_not_moved_with_it():
    """Copies make the input where a larger tensor was: moved too, that one would be written behind the memory elsewhere."""
    nodes = [
        ("Conv", ["x", "a"], ["c"], {}), ("Split", ["c", "s"], ["u", "v", "w"], {"axis": 1}),
        ("Concat", ["v", "w"], ["k"], {"axis": 1}), ("Conv", ["k", "b"], ["d"], {}),
        ("Conv", ["d", "f"], ["y"], {"pads": [1] * 4, "strides": [2, 2]}),
    ]  # fmt: skip
    weights = {"a": (18, 4, 1, 1), "b": (24, 16, 1, 1), "f": (16, 24, 3, 3)}
    program = _loaded(nodes, [1, 4, 12, 12], weights, sizes=[2, 4, 12]).program
    names = [program.kernels[int(kernel)] for kernel in program.records["kernel"]]
    first, over, _ = (Reading(CONV, program.records[i]) for i, name in enumerate(names) if name == "conv_f32")
    assert first.out == over.x and first.out_channels > over.x_channels  # else this test says nothing
    assert is_over(over, 144 * 16 * 4, 144 * 24 * 4)
    moved, nbytes = moved_elsewhere(program, program.records, [])
    assert nbytes == 0 and (moved == program.records).all()


def test_a_long_row_of_layers_is_several_strips():
    """Each layer is compared with all before it in its strip, so that must not grow with the model."""
    names = ["x", *(f"t{i}" for i in range(199)), "y"]
    model = _loaded([("Sin", [a], [b], {}) for a, b in pairwise(names)], [64, 64], {})
    lengths = [len(strip.cuts) for strip in _found(model)[1]]
    assert sum(lengths) == len(model.program.records) == 200 and max(lengths) == MOST
