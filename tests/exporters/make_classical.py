"""Write the golden files of `classical_models`: python -m tests.exporters.make_classical [PREFIX]; see make_golden.py.

Beside batches 1 and 7 there is, for trees, one of rows that stand exactly on thresholds of the trees, as the file has them,
and on the floats beside them.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import helper
from onnxmltools import convert_lightgbm, convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType as BoostedInput
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
from sklearn.base import is_classifier, is_outlier_detector

from tests.exporters.classical_models import CLASSICAL_CASES, ClassicalCase
from tests.exporters.make_golden import BATCHES, save
from tests.exporters.sklearn_models import FEATURES, data

Array = npt.NDArray[Any]
ON_THRESHOLDS = 48
NAMES = np.array(["red", "green", "blue"])
OPSETS = {"": 18, "ai.onnx.ml": 3}


def task_data(case: ClassicalCase) -> tuple[Array, Any]:
    """Inputs and targets."""
    inputs, targets = data({"names": "classes", "integers": "none"}.get(case.task, case.task))
    if case.task == "names" and targets is not None:
        targets = NAMES[targets // 10]
    if case.framework == "xgboost" and case.task == "classes":
        targets = np.asarray(targets) // 10
    if case.task == "integers":
        inputs = np.random.default_rng(3).integers(0, 4, inputs.shape)
    inputs = inputs.astype(case.dtype)
    if case.missing:
        inputs[np.random.default_rng(5).random(inputs.shape) < 0.1] = np.nan
    return inputs, targets


def export(case: ClassicalCase, estimator: Any) -> onnx.ModelProto:
    """The model as its exporter writes it."""
    if case.framework != "sklearn":
        convert = {"lightgbm": convert_lightgbm, "xgboost": convert_xgboost}[case.framework]
        options = {} if case.framework == "xgboost" else {"zipmap": case.zipmap}
        return convert(estimator, initial_types=[("x0", BoostedInput([None, FEATURES]))], target_opset=15, **options)
    kind = FloatTensorType if case.dtype is np.float32 else DoubleTensorType
    chosen = dict(case.options)
    if is_classifier(estimator) and not case.zipmap and not chosen:
        chosen["zipmap"] = False
    types = [("x0", kind([None, FEATURES]))]
    return to_onnx(estimator, initial_types=types, options={id(estimator): chosen}, target_opset=OPSETS)


def framework_outputs(case: ClassicalCase, estimator: Any, inputs: Array, count: int) -> list[Array]:
    """The estimator's own outputs in the order of the export; names of classes as indices."""
    if is_classifier(estimator):
        label = np.asarray(estimator.predict(inputs))
        if label.dtype.kind in "UO":
            label = np.searchsorted(estimator.classes_, label)
        scores = getattr(estimator, "predict_proba", None) or estimator.decision_function
        return [label, np.asarray(scores(inputs))]
    if is_outlier_detector(estimator):
        return [estimator.predict(inputs).reshape(-1, 1), estimator.decision_function(inputs).reshape(-1, 1)]
    if not hasattr(estimator, "predict"):
        return [estimator.transform(inputs)]
    first = estimator.predict(inputs)
    if hasattr(estimator, "predict_proba"):
        return [first, estimator.predict_proba(inputs)]
    if hasattr(estimator, "transform") and count == 2:  # clusters: their distances
        return [first, estimator.transform(inputs)]
    return [first]


def plain(value: Any, estimator: Any) -> Array:
    """What ONNX Runtime gives, without strings and dictionaries."""
    if isinstance(value, list):
        return np.array([list(row.values()) for row in value], np.float32)
    return np.searchsorted(estimator.classes_, value) if value.dtype.kind in "UO" else value


def thresholds(model: onnx.ModelProto) -> dict[int, list[float]]:
    """Feature -> thresholds of all trees in the model."""
    found: dict[int, list[float]] = {}
    for node in model.graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if "nodes_modes" not in attributes:
            continue
        columns = (attributes[f"nodes_{name}"] for name in ("featureids", "values", "modes"))
        for feature, value, mode in zip(*columns, strict=True):
            if mode != b"LEAF":
                found.setdefault(feature, []).append(value)
    return found


def rows_on_thresholds(model: onnx.ModelProto, inputs: Array) -> Array:
    """Rows of the data with many features put on thresholds and their neighbours."""
    rng = np.random.default_rng(1)
    rows = inputs[rng.integers(len(inputs), size=ON_THRESHOLDS)].copy()
    for feature, values in thresholds(model).items():
        value = rng.choice(np.unique(np.array(values, inputs.dtype)), size=len(rows))
        side = rng.integers(-1, 2, len(rows))
        moved = np.where(side == 0, value, np.nextafter(value, np.where(side < 0, -np.inf, np.inf).astype(value.dtype)))
        rows[:, feature] = np.where(rng.random(len(rows)) < 0.7, moved, rows[:, feature])
    return rows


def make(case: ClassicalCase) -> None:
    """Both files of one case."""
    inputs, targets = task_data(case)
    estimator = case.estimator()
    estimator.fit(inputs) if targets is None else estimator.fit(inputs, targets)
    model = export(case, estimator)
    name = f"{case.framework}_{case.name}"
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    batches = [inputs[20 : 20 + size] for size in BATCHES]
    if case.trees:
        batches.append(rows_on_thresholds(model, inputs))
    arrays: dict[str, Array] = {}
    for batch in batches:
        judged = [plain(value, estimator) for value in session.run(None, {"x0": batch})]
        outputs = framework_outputs(case, estimator, batch, len(judged))
        arrays[f"in{len(batch)}:x0"] = batch
        for item, expected, found in zip(model.graph.output, outputs, judged, strict=True):
            stored = np.asarray(expected).reshape(found.shape).astype(found.dtype)
            wrong = np.abs(stored.astype(np.float64) - found) / max(np.abs(stored.astype(np.float64)).max(), 1e-30)
            rows = np.flatnonzero(wrong.reshape(len(batch), -1).max(axis=1) > 1e-5)
            if len(rows):
                print(f"{name} {item.name}: the export differs from the framework in {len(rows)} of {len(batch)} rows")
                assert len(batch) == ON_THRESHOLDS, "not at a threshold"
            stored[rows] = found[rows]
            arrays[f"out{len(batch)}:{item.name}"] = stored
    for part in (model, model.graph):
        part.ClearField("doc_string")
    save(name, model, arrays)


def accept_numpy_attributes() -> None:
    """skl2onnx gives lists of NumPy's numbers and of bool, which `onnx` does not take any more."""
    original = helper.make_attribute

    def make_attribute(key: str, value: Any, *rest: Any, **named: Any) -> onnx.AttributeProto:
        if isinstance(value, list):
            value = [v.item() if isinstance(v, np.generic) else v for v in value]
            value = [int(v) if isinstance(v, bool) else v for v in value]
        return original(key, value, *rest, **named)

    helper.make_attribute = make_attribute


def main() -> None:
    """Renew the files of all cases, or of those whose names begin with a prefix."""
    prefix = sys.argv[1] if len(sys.argv) > 1 else ""
    warnings.simplefilter("ignore")
    onnxruntime.set_default_logger_severity(4)
    accept_numpy_attributes()
    for case in CLASSICAL_CASES:
        if f"{case.framework}_{case.name}".startswith(prefix):
            make(case)


if __name__ == "__main__":
    main()
