"""Linear models and the preparation of features: ONNX Runtime's results."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import helper, numpy_helper
from onnx.helper import np_dtype_to_tensor_dtype

import rt_engine
from rt_engine.errors import RunError, UnsupportedModelError

onnxruntime.set_default_logger_severity(4)
NAN = float("nan")


def model_of(op_type, inputs, outputs, domain="ai.onnx.ml", version=3, **attributes):
    """A model of one node; inputs are arrays, outputs (type, rank)."""
    names = [f"x{i}" for i in range(len(inputs))]
    results = [f"y{i}" for i in range(len(outputs))]
    node = helper.make_node(op_type, names, results, domain=domain, **attributes)
    graph = helper.make_graph(
        [node],
        "g",
        [
            helper.make_tensor_value_info(n, np_dtype_to_tensor_dtype(x.dtype), [None] * x.ndim)
            for n, x in zip(names, inputs, strict=True)
        ],
        [
            helper.make_tensor_value_info(n, np_dtype_to_tensor_dtype(np.dtype(t)), [None] * rank)
            for n, (t, rank) in zip(results, outputs, strict=True)
        ],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(domain, version)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def run(model, inputs):
    feeds = {f"x{i}": x for i, x in enumerate(inputs)}
    return rt_engine.load(model, shapes={n: x.shape for n, x in feeds.items()}).run(feeds)


def assert_agrees(model, inputs, exact=True):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    theirs = session.run(None, {f"x{i}": x for i, x in enumerate(inputs)})
    for a, b in zip(run(model, inputs), theirs, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        if exact:
            np.testing.assert_array_equal(a, b)
        else:
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def numbers(dtype, shape=(9, 3)):
    rng = np.random.default_rng(4)
    return (
        rng.integers(-3, 4, shape) if np.issubdtype(dtype, np.integer) else rng.integers(-6, 7, shape) * 0.5
    ).astype(dtype)


@pytest.mark.parametrize("labels", [[5, 9], [5, 9, -2]])
@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_linear_classifiers(labels, transform, dtype):
    """One score for two classes; one per class."""
    rng = np.random.default_rng(1)
    targets = 1 if len(labels) == 2 else 3
    x = numbers(dtype)
    model = model_of(
        "LinearClassifier",
        [x],
        [(np.int64, 1), (np.float32, 2)],
        version=1,
        coefficients=rng.normal(size=3 * targets).tolist(),
        intercepts=rng.normal(size=targets).tolist(),
        classlabels_ints=labels,
        post_transform=transform,
    )
    assert_agrees(model, [x], exact=False)


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
@pytest.mark.parametrize("replaced", [NAN, 1.0])
@pytest.mark.parametrize("columns", [1, 3])
def test_imputer(dtype, replaced, columns):
    x = numbers(dtype)
    if dtype is np.float32:
        x[::2, 1] = NAN
        options = {"imputed_value_floats": [7.5, 8.5, 9.5][:columns], "replaced_value_float": replaced}
    else:
        options = {"imputed_value_int64s": [7, 8, 9][:columns], "replaced_value_int64": 1}
    assert_agrees(model_of("Imputer", [x], [(dtype, 2)], version=1, **options), [x])


@pytest.mark.parametrize("threshold", [0.0, 0.5, -1.0])
def test_binarizer(threshold):
    x = numbers(np.float32)
    assert_agrees(model_of("Binarizer", [x], [(np.float32, 2)], version=1, threshold=threshold), [x])


@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.float64, np.int32])
def test_one_hot_encoder(dtype):
    """Unknown categories are rows of zeros, or with zeros = 0 the status of an index out of range."""
    x = numbers(np.int64).astype(dtype)
    options = {"cats_int64s": [-2, 3, 0, 1], "zeros": 1}
    (got,) = run(model_of("OneHotEncoder", [x], [(np.float32, 3)], version=1, **options), [x])
    assert np.array_equal(got, (x[..., None] == np.array([-2, 3, 0, 1])).astype(np.float32))
    strict = model_of("OneHotEncoder", [x], [(np.float32, 3)], version=1, **(options | {"zeros": 0}))
    with pytest.raises(RunError):
        run(strict, [x])
    known = np.array([[1, -2, 0]], dtype)
    assert np.array_equal(run(strict, [known])[0][0].argmax(axis=1), [3, 0, 2])


@pytest.mark.parametrize(
    ("dtype", "options", "out"),
    [
        (np.int64, {"keys_int64s": [3, -1, 0], "values_floats": [1.5, 2.5, NAN], "default_float": -7.0}, np.float32),
        (np.int64, {"keys_int64s": [3, -1, 0], "values_int64s": [10, 20, 30]}, np.int64),
        (np.float32, {"keys_floats": [0.5, NAN, 0.0], "values_int64s": [10, 20, 30], "default_int64": 4}, np.int64),
        (np.float32, {"keys_floats": [0.5], "values_floats": [2.0]}, np.float32),
    ],
)
def test_label_encoder(dtype, options, out):
    """From numbers to numbers; NaN and both zeros are keys."""
    x = numbers(dtype)
    if dtype is np.float32:
        x[0] = [NAN, -0.0, 0.0]
    assert_agrees(model_of("LabelEncoder", [x], [(out, 2)], version=2, **options), [x])


def test_label_encoder_with_tensors():
    """Version 4: keys and values of any numeric type."""
    x = numbers(np.float64)
    options = {
        "keys_tensor": numpy_helper.from_array(np.array([0.5, 1.0, 1.5]), "k"),
        "values_tensor": numpy_helper.from_array(np.array([7, 8, 9], np.int16), "v"),
        "default_tensor": numpy_helper.from_array(np.array([-5], np.int16), "d"),
    }
    (got,) = run(model_of("LabelEncoder", [x], [(np.int16, 2)], version=4, **options), [x])
    assert np.array_equal(got, np.vectorize({0.5: 7, 1.0: 8, 1.5: 9}.get)(x, -5).astype(np.int16))


def test_strings_are_refused_by_name():
    x = numbers(np.int64)
    for op_type, options in (
        ("OneHotEncoder", {"cats_strings": ["a"]}),
        ("LabelEncoder", {"keys_strings": ["a"], "values_int64s": [1]}),
    ):
        with pytest.raises(UnsupportedModelError, match="strings"):
            rt_engine.load(model_of(op_type, [x], [(np.float32, 3)], version=2, **options), shapes={"x0": x.shape})


@pytest.mark.parametrize("widths", [[3, 1], [2, 1], [5, 2]])
def test_feature_vectorizer(widths):
    """Inputs are cut, or filled up with zeros."""
    x, y = numbers(np.float32), numbers(np.float32, (9, 1))
    model = model_of("FeatureVectorizer", [x, y], [(np.float32, 2)], version=1, inputdimensions=widths)
    assert_agrees(model, [x, y])


@pytest.mark.parametrize("metric", ["euclidean", "sqeuclidean"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cdist(metric, dtype):
    a, b = numbers(dtype, (4, 3)), numbers(dtype, (7, 3))
    model = model_of("CDist", [a, b], [(dtype, 2)], domain="com.microsoft", version=1, metric=metric)
    (got,) = run(model, [a, b])
    expected = ((a[:, None] - b[None]) ** 2).sum(-1)
    np.testing.assert_allclose(got, expected if metric == "sqeuclidean" else np.sqrt(expected), rtol=1e-6)
