"""Tree ensembles of scikit-learn, LightGBM and XGBoost: 16 features, one sample at a time, each run another."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import make_classification, make_regression
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier

from benchmarks.zoo import Export, model

FEATURES = 16
SKLEARN = ("scikit-learn", "skl2onnx")
OPSET = {"": 17, "ai.onnx.ml": 3}


def samples(classes: int) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """2,000 samples of a task of so many classes; 0 is a regression."""
    if classes:
        x, y = make_classification(2000, FEATURES, n_informative=10, n_classes=classes, random_state=0)
    else:
        x, y = make_regression(2000, FEATURES, n_informative=10, noise=5.0, random_state=0)
    return x.astype(np.float32), y


def export_sklearn(estimator: Any, x: NDArray[np.float32], outputs: list[NDArray[Any]]) -> Export:
    """Any scikit-learn estimator in ONNX; `outputs` are its own for the first sample."""
    from skl2onnx import to_onnx
    from sklearn.base import is_classifier

    options = {id(estimator): {"zipmap": False}} if is_classifier(estimator) else None
    proto = to_onnx(estimator, x[:1], options=options, target_opset=OPSET)
    return named(_one_sample(proto), x, outputs)


def _one_sample(proto: Any) -> Any:
    """The first dimension of inputs and outputs is 1."""
    for value in (*proto.graph.input, *proto.graph.output):
        dims = value.type.tensor_type.shape.dim
        if dims and not dims[0].dim_value:
            dims[0].dim_value = 1
    return proto


def named(proto: Any, x: NDArray[np.float32], outputs: list[NDArray[Any]]) -> Export:
    """The framework's outputs under the names of the model's, in the shapes that it declares."""
    return (
        proto,
        {proto.graph.input[0].name: x[:1]},
        {o.name: v for o, v in zip(proto.graph.output, outputs, strict=True)},
    )


@model("random-forest", "random forest 100 x depth 8", tools=SKLEARN, samples=lambda: samples(3)[0])
def random_forest() -> Export:
    """Three classes, labels and probabilities."""
    x, y = samples(3)
    forest = RandomForestClassifier(100, max_depth=8, random_state=0).fit(x, y)
    return export_sklearn(forest, x, [forest.predict(x[:1]), forest.predict_proba(x[:1]).astype(np.float32)])


@model("gradient-boosting", "gradient boosting 200 x depth 5", tools=SKLEARN, samples=lambda: samples(2)[0])
def gradient_boosting() -> Export:
    """Two classes, labels and probabilities."""
    x, y = samples(2)
    trees = GradientBoostingClassifier(n_estimators=200, max_depth=5, random_state=0).fit(x, y)
    return export_sklearn(trees, x, [trees.predict(x[:1]), trees.predict_proba(x[:1]).astype(np.float32)])


@model("lightgbm", "LightGBM 100 x 31 leaves", tools=("lightgbm", "onnxmltools"), samples=lambda: samples(2)[0])
def lightgbm() -> Export:
    """Two classes, labels and probabilities."""
    from lightgbm import LGBMClassifier
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    x, y = samples(2)
    trees = LGBMClassifier(n_estimators=100, num_leaves=31, random_state=0, n_jobs=1, verbose=-1).fit(x, y)
    types = [("x", FloatTensorType([1, FEATURES]))]
    proto = convert_lightgbm(trees, initial_types=types, zipmap=False, target_opset=15)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return named(_one_sample(proto), x, [trees.predict(x[:1]), trees.predict_proba(x[:1]).astype(np.float32)])


@model("xgboost", "XGBoost 100 x depth 6", tools=("xgboost", "onnxmltools"), samples=lambda: samples(0)[0])
def xgboost() -> Export:
    """A regression."""
    from onnxmltools import convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType
    from xgboost import XGBRegressor

    x, y = samples(0)
    trees = XGBRegressor(n_estimators=100, max_depth=6, random_state=0, n_jobs=1).fit(x, y)
    proto = convert_xgboost(trees, initial_types=[("x", FloatTensorType([1, FEATURES]))], target_opset=15)
    return named(_one_sample(proto), x, [trees.predict(x[:1]).reshape(1, 1)])
