"""`rt_engine.quantize`: standard QDQ models, close to the float model; what does not fit is refused."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto as T
from onnx import helper, numpy_helper

import rt_engine
from rt_engine.errors import InputError, UnsupportedModelError
from tests.exporters.test_golden import GOLDEN
from tests.onnx_runtime import session


def network(opset=17):
    """Conv, BatchNormalization, Relu, MaxPool, Conv, Add, average, Gemm."""
    rng = np.random.default_rng(0)

    def w(*shape):
        return (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    arrays = {
        "w1": w(8, 3, 3, 3), "b1": w(8), "s": rng.uniform(0.5, 1.5, 8).astype(np.float32), "t": w(8), "m": w(8),
        "v": rng.uniform(0.5, 1.5, 8).astype(np.float32), "w2": w(8, 8, 3, 3), "b2": w(8), "w3": w(5, 8), "b3": w(5),
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["a", "s", "t", "m", "v"], ["n"]),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["p", "w2", "b2"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["c", "p"], ["d"]),
        helper.make_node("GlobalAveragePool", ["d"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("Gemm", ["f", "w3", "b3"], ["y"], transB=1),
    ]
    ends = [helper.make_tensor_value_info(n, T.FLOAT, s) for n, s in (("x", ("batch", 3, 8, 8)), ("y", ("batch", 5)))]
    graph = helper.make_graph(
        nodes, "g", ends[:1], ends[1:], [numpy_helper.from_array(v, n) for n, v in arrays.items()]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


DATA = np.random.default_rng(1).standard_normal((12, 3, 8, 8)).astype(np.float32)


@pytest.mark.parametrize(
    "options",
    [{}, {"per_channel": False}, {"type": "uint8"}, {"method": "percentile", "percentile": 99.9}],
    ids=str,
)
def test_the_model_stays_close_and_standard(options, tmp_path):
    """It runs on integer kernels, near the float model; ONNX Runtime reads it and gives nearly the same."""
    result = rt_engine.quantize(network(), {"x": DATA}, **options)
    assert [layer.operator for layer in result.layers] == ["Conv", "Conv", "Add", "GlobalAveragePool", "Gemm"]
    assert all(layer.sqnr_db > 20 for layer in result.layers)
    (out,) = result.outputs
    assert 0 < out.mean <= out.largest < 0.08 * out.span
    file = tmp_path / "q.onnx"
    result.save(file)
    onnx.checker.check_model(onnx.load(file), full_check=True)
    loaded = rt_engine.load(file)
    assert {"qconv", "qadd", "qgemm"} <= set(loaded.program.kernels)
    (y,) = loaded.run({"x": DATA[:1]})
    (exact,) = rt_engine.load(network()).run({"x": DATA[:1]})
    assert np.abs(y - exact).max() <= out.largest * 1.0001
    theirs = session(file).run(None, {"x": DATA[:1]})[0]
    assert np.abs(theirs - y).max() < 0.03 * out.span


def test_an_older_opset_is_converted():
    """Opset 11 has no per-channel scales; the result is opset 13."""
    result = rt_engine.quantize(network(11), {"x": DATA})
    assert result.model.opset_import[0].version == 13


def test_progress_is_told():
    """Every run counts, to the end."""
    seen = []
    rt_engine.quantize(network(), {"x": DATA[:2]}, progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == list(range(1, seen[-1][1] + 1))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"z": DATA}, "unknown input 'z', missing input 'x'"),
        ({"x": DATA[:, :, :7]}, r"takes \[1, 3, 8, 8\], or \[samples"),
        ({"x": DATA[:0]}, "at least one"),
        ({"x": DATA.astype(np.complex64)}, "takes float32"),
        ({"x": DATA * np.nan}, "are NaN or infinite"),
        ({"x": np.full(DATA.shape, 1e300)}, "NaN or infinite as float32"),
        ("nowhere.npz", "cannot be read"),
    ],
)
def test_data_that_does_not_fit_is_refused(data, words):
    """The message says what is wrong and what the model takes."""
    with pytest.raises(InputError, match=words):
        rt_engine.quantize(network(), data)


def test_a_model_without_products_is_refused():
    """There is nothing to quantise."""
    ends = [helper.make_tensor_value_info(n, T.FLOAT, (1, 3)) for n in "xy"]
    graph = helper.make_graph([helper.make_node("Tanh", ["x"], ["y"])], "g", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(UnsupportedModelError, match=r"has nothing to quantise:\n.*none of its operators multiplies"):
        rt_engine.quantize(model, {"x": np.ones((4, 1, 3), np.float32)})


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 cut short"])
def test_a_file_that_is_no_npz_is_refused(content, tmp_path):
    """Whatever NumPy and zipfile raise, it is one error."""
    path = tmp_path / "data.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"cannot be read as \.npz"):
        rt_engine.quantize(network(), path)


@pytest.mark.parametrize("array", [np.ones(3), np.array([None])])
def test_an_array_without_a_name_or_of_objects_is_refused(array, tmp_path):
    """An .npy file is no .npz file; nothing is unpickled."""
    path = tmp_path / "data.npy"
    np.save(path, array)
    with pytest.raises(InputError, match=r"cannot be read as \.npz"):
        rt_engine.quantize(network(), path)


def mixed():
    """MatMul by weights, a product of two computed values, an LSTM."""
    rng = np.random.default_rng(0)
    shapes = {"w": (4, 4), "i": (1, 32, 4), "r": (1, 32, 8)}
    arrays = [numpy_helper.from_array(rng.standard_normal(s).astype(np.float32), n) for n, s in shapes.items()]
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], name="first"),
        helper.make_node("LSTM", ["a", "i", "r"], ["h"], name="memory", hidden_size=8),
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["t", "a"], ["s"], name="scores"),
    ]
    ends = [
        helper.make_tensor_value_info(n, T.FLOAT, s)
        for n, s in (("x", (3, 1, 4)), ("h", (3, 1, 1, 8)), ("s", (3, 4, 4)))
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], arrays)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_what_stays_float_is_said_with_its_weights_and_why():
    """All that multiplies and is not quantised; a Transpose is no loss."""
    result = rt_engine.quantize(
        mixed(), {"x": np.random.default_rng(1).standard_normal((5, 3, 1, 4)).astype(np.float32)}
    )
    assert [layer.name for layer in result.layers] == ["first"]
    assert [(kept.name, kept.operator, kept.weight_bytes) for kept in result.kept] == [
        ("memory", "LSTM", 4 * 32 * (4 + 8)),
        ("scores", "MatMul", 0),
    ]
    assert "recurrent layer" in result.kept[0].why and "both its operands are computed" in result.kept[1].why


def test_all_of_a_quantised_network_is_quantised():
    """Nothing is said to stay float where nothing does."""
    assert rt_engine.quantize(network(), {"x": DATA}).kept == ()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("sklearn_forest_binary", "TreeEnsembleClassifier .*: trees compare numbers and multiply none"),
        ("lightgbm_regressor_regression", "TreeEnsembleRegressor .*: trees compare numbers"),
    ],
)
def test_a_model_without_layers_is_told_by_its_operators(name, why):
    """Not "the whole model", and not that it cannot run."""
    arrays = np.load(GOLDEN / f"{name}.npz")
    batch = min(key.partition(":")[0] for key in arrays if key.startswith("in"))
    data = {key.partition(":")[2]: arrays[key] for key in arrays if key.startswith(f"{batch}:")}
    shapes = {key: array.shape for key, array in data.items()}
    with pytest.raises(UnsupportedModelError, match=rf"has nothing to quantise:\n.*{why}") as caught:
        rt_engine.quantize(GOLDEN / f"{name}.onnx", data, shapes=shapes)
    assert "cannot run" not in str(caught.value)


def test_weights_beside_the_file_are_part_of_its_size(tmp_path):
    """Before: the file and what lies beside it."""
    onnx.save(network(), tmp_path / "one.onnx")
    onnx.save(network(), tmp_path / "two.onnx", save_as_external_data=True, location="two.data", size_threshold=0)
    sizes = [rt_engine.quantize(tmp_path / name, {"x": DATA}).float_bytes for name in ("one.onnx", "two.onnx")]
    assert sizes[0] == (tmp_path / "one.onnx").stat().st_size
    assert abs(sizes[1] - sizes[0]) < 1000 < (tmp_path / "two.data").stat().st_size <= sizes[1]
