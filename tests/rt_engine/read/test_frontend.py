"""Bad model files: a clear error with file, node and reason; nothing crashes."""

import contextlib

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import rt_engine
from rt_engine.errors import EngineError, InvalidModelError, ModelFileError, ShapeBindingError, UnsupportedModelError


def model(
    nodes, inputs=(("x", 1, [1, 4]),), outputs=(("y", 1, [1, 4]),), weights=(), opset=17, domain=""
) -> onnx.ModelProto:
    """A small model; `weights` are (name, array)."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(*i) for i in inputs],
        [helper.make_tensor_value_info(*o) for o in outputs],
        [numpy_helper.from_array(np.asarray(a), n) for n, a in weights],
    )
    opsets = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


IDENTITY = model([helper.make_node("Identity", ["x"], ["y"])])


def test_a_missing_file_is_named():
    """The path and the system's reason."""
    with pytest.raises(ModelFileError, match=r"/nowhere/m\.onnx cannot be read"):
        rt_engine.load("/nowhere/m.onnx")


def test_a_folder_is_no_model(tmp_path):
    """A folder gives an error, not a traceback."""
    with pytest.raises(ModelFileError, match="cannot be read"):
        rt_engine.load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello, this is text", b"\x00" * 1000, b"\xff" * 64])
def test_what_is_no_onnx_file_is_refused(tmp_path, content):
    """Empty, text, zeros and garbage."""
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises((ModelFileError, InvalidModelError), match=r"m\.onnx"):
        rt_engine.load(path)


def test_two_gigabytes_of_nothing_are_refused_unread(tmp_path):
    """A sparse file over the limit is refused by its size, at once."""
    path = tmp_path / "huge.onnx"
    with path.open("wb") as file:
        file.truncate(1 << 31)
    with pytest.raises(ModelFileError, match="external data"):
        rt_engine.load(path)


@given(st.integers(1, len(IDENTITY.SerializeToString()) - 1))
def test_a_truncated_model_is_an_error_of_ours(length):
    """Whatever is cut off, it is an EngineError (or what is left is still a model)."""
    with contextlib.suppress(EngineError):
        rt_engine.load(IDENTITY.SerializeToString()[:length])


@given(st.data())
def test_a_damaged_model_is_an_error_of_ours(data):
    """Flipped bytes give an EngineError or a model, never another exception."""
    content = bytearray(IDENTITY.SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(EngineError):
        rt_engine.load(bytes(content))


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/passwd", ""])
def test_external_data_outside_the_folder_is_refused(tmp_path, location):
    """A model must not read the rest of the disk."""
    (tmp_path / "secret.bin").write_bytes(b"\0" * 16)
    (tmp_path / "models").mkdir()
    m = model([helper.make_node("Add", ["x", "w"], ["y"])], weights=[("w", np.ones(4, np.float32))])
    weight = m.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value=location)
    path = tmp_path / "models" / "m.onnx"
    path.write_bytes(m.SerializeToString())
    with pytest.raises(ModelFileError, match="'w'"):
        rt_engine.load(path)


def test_external_data_in_the_folder_is_read(tmp_path):
    """Weights beside the model are found, from any working directory."""
    m = model([helper.make_node("MatMul", ["x", "w"], ["y"])], weights=[("w", np.eye(4, dtype=np.float32) * 2)])
    onnx.save_model(m, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    x = np.arange(4, dtype=np.float32).reshape(1, 4)
    assert np.array_equal(rt_engine.load(tmp_path / "m.onnx").run({"x": x})[0], 2 * x)


def test_missing_external_data_is_named(tmp_path):
    """The message names the file that is missing."""
    m = model([helper.make_node("MatMul", ["x", "w"], ["y"])], weights=[("w", np.eye(4, dtype=np.float32))])
    onnx.save_model(m, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    (tmp_path / "w.bin").unlink()
    with pytest.raises(ModelFileError, match=r"w\.bin"):
        rt_engine.load(tmp_path / "m.onnx")


def test_a_cycle_is_refused():
    """ONNX's own rule: nodes are topologically sorted."""
    nodes = [
        helper.make_node("Add", ["x", "b"], ["a"]),
        helper.make_node("Identity", ["a"], ["b"]),
        helper.make_node("Identity", ["a"], ["y"]),
    ]
    with pytest.raises(InvalidModelError, match="topological"):
        rt_engine.load(model(nodes))


def test_all_unknown_operators_are_named_at_once():
    """Every node that stands in the way, with its name."""
    nodes = [
        helper.make_node("Magic", ["x"], ["a"], domain="com.acme", name="first"),
        helper.make_node("Trick", ["a"], ["b"], domain="com.acme", name="second"),
        helper.make_node("Identity", ["b"], ["y"]),
    ]
    with pytest.raises(UnsupportedModelError) as caught:
        rt_engine.load(model(nodes, domain="com.acme"))
    assert [r.node for r in caught.value.reasons] == ["first", "second"]
    assert "com.acme:Trick" in str(caught.value)


def test_all_reasons_are_given_at_once():
    """Unknown operators, shapes that depend on data or inputs, and nodes that cannot be lowered, in the graph's order."""
    nodes = [
        helper.make_node("RegexFullMatch", ["x"], ["a"], name="unknown", pattern="a"),
        helper.make_node("Reshape", ["x", "n"], ["b"], name="shape"),
        helper.make_node("Tanh", ["b"], ["c"], name="behind"),
        helper.make_node("Gather", ["x", "w"], ["d"], axis=1, name="index"),
        helper.make_node("Identity", ["c"], ["y"]),
    ]
    inputs = (("x", 1, [1, 4]), ("n", 7, [1]))
    with pytest.raises(UnsupportedModelError) as caught:
        rt_engine.load(model(nodes, inputs, weights=[("w", np.array([9]))], opset=20))
    assert [r.node for r in caught.value.reasons] == ["unknown", "shape", "index"]
    assert all(r.help for r in caught.value.reasons)


def test_nodes_with_one_reason_share_a_line():
    """A model of many unknown nodes stays readable; `reasons` has them all."""
    nodes = [helper.make_node("Magic", ["x"], [f"y{i}"], domain="com.acme", name=f"n{i}") for i in range(40)]
    with pytest.raises(UnsupportedModelError, match="'n4' and 35 more") as caught:
        rt_engine.load(model(nodes, outputs=[("y0", 1, [1, 4])], domain="com.acme"))
    assert len(caught.value.reasons) == 40
    assert len(str(caught.value).splitlines()) == 2


def test_open_shapes_and_unknown_operators_are_one_error():
    """Binding the shapes alone would not help."""
    nodes = [helper.make_node("Magic", ["x"], ["y"], domain="com.acme")]
    with pytest.raises(UnsupportedModelError, match=r"'length'.*shapes") as caught:
        rt_engine.load(model(nodes, inputs=(("x", 1, [1, "length"]),), domain="com.acme"))
    assert [r.operator for r in caught.value.reasons] == ["input", "Magic"]


def test_a_name_that_onnx_does_not_know_gets_the_nearest_one():
    """Every such node at once."""
    nodes = [helper.make_node("Softmaxx", ["x"], ["a"]), helper.make_node("Tahn", ["a"], ["y"])]
    with pytest.raises(UnsupportedModelError, match=r"(?s)here is Softmax;.*here is Tan;"):
        rt_engine.load(model(nodes))


def test_an_unknown_domain_is_named():
    """A custom operator is refused with its domain."""
    nodes = [helper.make_node("Magic", ["x"], ["y"], domain="com.acme", name="n")]
    with pytest.raises(UnsupportedModelError, match=r"com\.acme:Magic"):
        rt_engine.load(model(nodes, domain="com.acme"))


@pytest.mark.parametrize("opset", [999])
def test_an_opset_outside_of_the_range_is_refused(opset):
    """Too old or too new: the range is in the message."""
    with pytest.raises(UnsupportedModelError, match=f"opset {opset}"):
        rt_engine.load(model([helper.make_node("Identity", ["x"], ["y"])], opset=opset))


def test_an_operator_of_an_older_opset_is_refused():
    """HardSwish came with opset 14, and the message says so."""
    with pytest.raises(UnsupportedModelError, match=r"HardSwish of opset 6; it runs from opset 14 on"):
        rt_engine.load(model([helper.make_node("HardSwish", ["x"], ["y"])], opset=6))


def test_wrong_types_are_refused():
    """float32 + int64 is not ONNX."""
    nodes = [helper.make_node("MatMul", ["x", "i"], ["y"], name="n")]
    with pytest.raises(InvalidModelError, match="n"):
        rt_engine.load(model(nodes, inputs=(("x", 1, [1, 4]), ("i", 7, [4, 4]))))


def test_shapes_that_do_not_fit_are_refused_with_node_and_shapes():
    """The node and what it was given."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")]
    with pytest.raises(InvalidModelError, match="product"):
        rt_engine.load(model(nodes, weights=[("w", np.ones((5, 2), np.float32))]))


def test_a_dimension_without_a_size_is_named():
    """The message names the dimension and how to bind it."""
    m = model(
        [helper.make_node("Identity", ["x"], ["y"])],
        inputs=(("x", 1, ["batch", "length"]),),
        outputs=(("y", 1, ["batch", "length"]),),
    )
    with pytest.raises(ShapeBindingError, match=r"'length'.*: shapes=\{'x': \(batch, length\)\}"):
        rt_engine.load(m)
    assert rt_engine.load(m, shapes={"x": (2, 3)}).inputs[0].shape == (2, 3)


@pytest.mark.parametrize("shapes", [{"x": (1, 5)}, {"x": (4,)}, {"z": (1, 4)}, {"x": (1, -4)}])
def test_a_shape_that_does_not_fit_is_refused(shapes):
    """Wrong size, wrong rank, unknown input, negative size."""
    with pytest.raises(ShapeBindingError, match="input"):
        rt_engine.load(IDENTITY, shapes=shapes)


def test_the_batch_is_one_by_default():
    """An unbound first dimension is 1; a name bound on one input holds for the others."""
    nodes = [helper.make_node("Identity", ["x"], ["y"]), helper.make_node("Identity", ["z"], ["u"])]
    m = model(nodes, inputs=(("x", 1, ["n", 4]), ("z", 1, ["n", 2])), outputs=(("y", 1, ["n", 4]), ("u", 1, ["n", 2])))
    assert [i.shape for i in rt_engine.load(m).inputs] == [(1, 4), (1, 2)]
    assert [i.shape for i in rt_engine.load(m, shapes={"x": (3, 4)}).inputs] == [(3, 4), (3, 2)]


@pytest.mark.parametrize("kind", [TensorProto.COMPLEX64, TensorProto.COMPLEX128])
def test_only_numbers_are_fed(kind):
    """Complex numbers have no kernels: refused by name."""
    with pytest.raises(UnsupportedModelError, match="type of input 'x'"):
        rt_engine.load(
            model([helper.make_node("Identity", ["x"], ["y"])], inputs=(("x", kind, [1]),), outputs=(("y", kind, [1]),))
        )


def test_a_map_is_no_output():
    """A sequence of maps that no tensor can stand for (that of ZipMap can) is refused, with what helps."""
    graph = helper.make_graph(
        [helper.make_node("SequenceConstruct", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", 1, [1, 4])],
        [],
    )
    kind = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    graph.output.append(helper.make_value_info("y", helper.make_sequence_type_proto(kind)))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 1)]
    with pytest.raises(UnsupportedModelError, match="not a tensor"):
        rt_engine.load(helper.make_model(graph, opset_imports=opsets, ir_version=8))


def _one(operator, constants=(), output=(4, 4), opset=13, shape=(4, 4), **attributes):
    """A model of one node on x, with constants as further inputs."""
    names = [f"c{i}" for i in range(len(constants))]
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", *names], ["y"], **attributes)],
        "one",
        [helper.make_tensor_value_info("x", 1, shape)],
        [helper.make_tensor_value_info("y", 1, output)],
        [numpy_helper.from_array(np.asarray(c), n) for n, c in zip(names, constants, strict=True)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


_W, _LONG = np.ones((4, 4), np.float32), np.int64
_MISFITS = {
    "bias of another width": _one("Gemm", (_W, np.ones(3, np.float32))),
    "bias of rank 3": _one("Gemm", (_W, np.ones((2, 4, 4), np.float32))),
    "transA that is read in two ways": _one(
        "Gemm", (np.ones((33, 8), np.float32),), (0, 33), shape=(0, 8), transA=1 << 62, transB=1
    ),
    "scale of another width": _one("LayerNormalization", (np.ones(3, np.float32),), opset=17),
    "axis that is not there": _one("LayerNormalization", (np.ones(4, np.float32),), opset=17, axis=5),
    "reshape to more elements": _one("Reshape", (np.array([8, 4], _LONG),), output=(8, 4)),
    "reshape to 16 TiB": _one("Reshape", (np.array([1 << 40, 4], _LONG),), output=(8, 4)),
    "parts beyond the end": _one("Split", (np.array([7, -3], _LONG),), output=(7, 4)),
    "limit that is a list": _one("Clip", (np.ones(4, np.float32),)),
    "axis twice": _one("Transpose", perm=[0]),
    "largest of nothing": _one("ArgMax", output=(1, 4), shape=(0, 4)),
}


@pytest.mark.parametrize("what", _MISFITS)
def test_parts_that_do_not_fit_are_refused(what):
    """ONNX's checker lets these pass; a kernel would read or write outside of its tensors."""
    with pytest.raises(EngineError):
        rt_engine.load(_MISFITS[what])


def test_a_few_bytes_cannot_ask_for_all_memory():
    """A constant, an arena and an input beyond any machine are refused before they are allocated."""
    huge = numpy_helper.from_array(np.array([1 << 40], np.int64), "c0")
    for m in (_one("Expand", (np.array([1 << 30, 4, 4], _LONG),)), _one("Identity", shape=(0, 1 << 62))):
        with pytest.raises(EngineError):
            rt_engine.load(m)
    graph = helper.make_graph(
        [helper.make_node("ConstantOfShape", ["c0"], ["y"])],
        "g",
        [],
        [helper.make_tensor_value_info("y", 1, [1 << 40])],
        [huge],
    )
    with pytest.raises(EngineError):
        rt_engine.load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8))


def test_a_tensor_that_does_not_fill_its_shape_is_refused():
    """Raw data cut short, or a negative dimension."""
    for change in (lambda t: setattr(t, "raw_data", t.raw_data[:5]), lambda t: t.dims.__setitem__(0, -4)):
        m = _one("MatMul", (_W,))
        change(m.graph.initializer[0])
        with pytest.raises(InvalidModelError):
            rt_engine.load(m)


def test_outputs_keep_their_names():
    """An output behind an Identity of another output is there under its own name."""
    graph = helper.make_graph(
        [helper.make_node("Abs", ["x"], ["a"]), helper.make_node("Identity", ["a"], ["b"])],
        "g",
        [helper.make_tensor_value_info("x", 1, [2])],
        [helper.make_tensor_value_info(n, 1, [2]) for n in ("a", "b")],
    )
    loaded = rt_engine.load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8))
    assert [o.name for o in loaded.outputs] == ["a", "b"]
    assert [y.tolist() for y in loaded.run({"x": np.array([-1, 2], np.float32)})] == [[1, 2], [1, 2]]


def test_crossed_limits_of_an_old_clip_give_max():
    """Opset 6 to 10: where min > max everything is max, as in newer opsets."""
    y = rt_engine.load(_one("Clip", opset=9, min=2.0, max=-1.0)).run({"x": _W})[0]
    assert np.array_equal(y, -_W)


def test_a_scale_broadcasts_to_the_normalised_axes():
    """LayerNormalization over two axes with a scale for the last: the same as the scale repeated."""
    x, scale = np.arange(16, dtype=np.float32).reshape(4, 4), np.array([1, 2, 3, 4], np.float32)
    short, whole = (
        rt_engine.load(_one("LayerNormalization", (s,), opset=17, axis=0)).run({"x": x})[0]
        for s in (scale, np.tile(scale, (4, 1)))
    )
    assert np.array_equal(short, whole)


def test_a_backward_slice_from_before_the_start():
    """The start is clamped to the first element, which is the whole result."""
    constants = [np.array([v], np.int64) for v in (-(2**63), -(2**63), 0, -1)]
    x = np.arange(16, dtype=np.float32).reshape(4, 4)
    assert np.array_equal(rt_engine.load(_one("Slice", constants, output=(1, 4))).run({"x": x})[0], x[:1])
