"""Inspections: every operator has its time and its error; the page stands alone."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import rt_engine
from benchmarks.models import mlp
from rt_engine.measure.exactness import record_errors, reference_values
from rt_engine.measure.inspect import inspect, table
from rt_engine.measure.picture import page
from rt_engine.measure.profile import record_times


def save(tmp_path, model):
    path = tmp_path / "m.onnx"
    onnx.save(model, path)
    return path


def conv_model():
    """Conv -> Relu -> MaxPool -> Conv with an addend, on 3 channels of 9 x 7."""
    rng = np.random.default_rng(0)
    w1, w2 = rng.standard_normal((5, 3, 3, 3)), rng.standard_normal((5, 5, 1, 1))
    weights = [numpy_helper.from_array(w.astype(np.float32), n) for w, n in ((w1, "w1"), (w2, "w2"))]
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], name="first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        helper.make_node("MaxPool", ["b"], ["c"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["c", "w2"], ["d"], name="second"),
        helper.make_node("Add", ["c", "d"], ["y"], name="sum"),
    ]
    ends = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", [1, 3, 9, 7]), ("y", [1, 5, 4, 3]))
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def conv_inputs():
    return {"x": np.random.default_rng(1).standard_normal((1, 3, 9, 7)).astype(np.float32)}


def test_every_record_has_a_time(tmp_path):
    """As many times as records, none negative, and together not more than a few times the whole."""
    context = rt_engine.load(save(tmp_path, mlp([16, 64, 4], "Tanh"))).context()
    times = record_times(context, 0.02)
    assert len(times) == 3
    assert (times >= 0).all() and times.sum() > 0


def test_errors_of_float32_are_small_and_known(tmp_path):
    """Values of fused and re-laid operators are found in the file by their names."""
    path = save(tmp_path, conv_model())
    model = rt_engine.load(path)
    errors = record_errors(model, path, conv_inputs())
    known = [e for e in errors if e is not None]
    assert len(known) >= 3
    assert max(known) < 1e-5


def test_an_inexact_value_is_seen(tmp_path):
    """Weights that are not those of the file give errors where they are used, and none before."""
    path = save(tmp_path, conv_model())
    wrong = conv_model()
    changed = numpy_helper.to_array(wrong.graph.initializer[1]) * 1.5
    wrong.graph.initializer[1].CopyFrom(numpy_helper.from_array(changed, "w2"))
    errors = [e for e in record_errors(rt_engine.load(wrong), path, conv_inputs()) if e is not None]
    assert errors[0] < 1e-5 < 0.05 < errors[-1]


@pytest.mark.parametrize("group", [1, 2, 4])
@pytest.mark.parametrize("auto", ["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"])
def test_the_reference_convolution_is_onnx_own(tmp_path, group, auto):
    """Our fast float64 convolution against the evaluator's, with strides, dilations and groups."""
    from onnx.reference import ReferenceEvaluator

    rng = np.random.default_rng(group)
    w = rng.standard_normal((4, 4 // group, 3, 2))
    pads = {"pads": [1, 0, 2, 1]} if auto == "NOTSET" else {"auto_pad": auto}
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=group, strides=[2, 1], dilations=[1, 1], **pads)
    ends = [helper.make_tensor_value_info(n, TensorProto.DOUBLE, s) for n, s in (("x", [2, 4, 8, 7]), ("y", None))]
    graph = helper.make_graph([node], "g", ends[:1], ends[1:], [numpy_helper.from_array(w, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    x = rng.standard_normal((2, 4, 8, 7))
    found, _ = reference_values(save(tmp_path, model), {"x": x})
    np.testing.assert_allclose(found["y"], ReferenceEvaluator(model).run(None, {"x": x})[0], rtol=1e-12, atol=1e-12)


def test_an_inspection_adds_up(tmp_path):
    """Shares make one; totals are those of the report; the page has every operator and refers to nothing outside."""
    path = save(tmp_path, conv_model())
    model = rt_engine.load(path)
    found = inspect(model, path, conv_inputs(), seconds=0.02)
    assert sum(r.share for r in found.rows) == pytest.approx(1)
    assert found.macs == model.report().macs == sum(r.macs for r in found.rows)
    assert found.arena_bytes >= found.arena_lower_bound >= found.arena_bare_bound
    assert table(found).row_count == len(found.rows)
    text = page(found)
    assert all(f"id='r{i}'" in text for i in range(len(found.rows)))
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
