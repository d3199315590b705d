"""Scalers and linear models of ai.onnx.ml, as scikit-learn's exporter writes them.

https://onnx.ai/onnx/operators/index_ai.onnx.ml.html : Scaler, Normalizer, LinearRegressor, LinearClassifier, ArrayFeatureExtractor
"""

from math import prod

import numpy as np
import onnx_ir as ir

from rt_engine.kernels.interface.reduce import REDUCE
from rt_engine.ops.base import Node, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.convert import converted
from rt_engine.ops.elementwise import broadcast
from rt_engine.ops.linear import pad_bias, product_by
from rt_engine.ops.moves import gathered
from rt_engine.ops.scores import ML, classes_of, label, post_transform
from rt_engine.program.calls import Buffer

F32 = np.dtype(np.float32)


def _float_of_same_shape(node: object, inputs: list[Buffer]) -> list[tuple[np.dtype, tuple[int, ...]]]:
    return [(F32, inputs[0].shape)]


@operator("Scaler", domain=ML, since=1, infer=_float_of_same_shape)
def scaler(node: Node, build: Builder) -> None:
    """(x - offset) * scale per column; computed and returned in float32, as ONNX says."""
    x = converted(build, node.x, F32)
    centred = build.temporary(F32, x.shape)
    offset, scale = (
        build.constant(np.asarray(node.attr(name, [default]), F32))
        for name, default in (("offset", 0.0), ("scale", 1.0))
    )
    broadcast(build, "sub_f32", (x, offset), centred)
    broadcast(build, "mul_f32", (centred, scale), node.y)


@operator("Normalizer", domain=ML, since=1, infer=_float_of_same_shape)
def normalizer(node: Node, build: Builder) -> None:
    """Each row divided by its norm; a row of zeros stays as it is."""
    x = converted(build, node.x, F32)
    norm = str(node.attr("norm", "MAX"))
    kernel = {"L1": "reduce_l1_f32", "L2": "reduce_l2_f32", "MAX": "reduce_max_f32"}[norm]
    rows, columns = prod(x.shape[:-1]), x.shape[-1]
    norms = build.temporary(F32, (rows, 1))
    build.call(kernel, REDUCE(x=x, out=norms, outer=rows, count=columns, inner=1))
    is_zero, divisor = build.temporary(np.bool_, (rows, 1)), build.temporary(F32, (rows, 1))
    broadcast(build, "equal_f32", (norms, build.constant(np.zeros(1, F32))), is_zero)
    broadcast(build, "where_4", (is_zero, build.constant(np.ones(1, F32)), norms), divisor)
    broadcast(build, "div_f32", (x, divisor), node.y)


@operator(
    "LinearRegressor",
    domain=ML,
    since=1,
    infer=lambda node, inputs: [(F32, (prod(inputs[0].shape[:-1]), _targets(node)))],
)
def linear_regressor(node: Node, build: Builder) -> None:
    """x @ coefficients + intercepts, then a transform."""
    targets = int(node.attr("targets", 1))
    _linear_model(node, build, targets, node.y, str(node.attr("post_transform", "NONE")))


def _targets(node: object) -> int:
    attribute = node.attributes.get("targets")  # type: ignore[attr-defined]
    return int(attribute.value) if attribute is not None else 1


def _linear_model(node: Node, build: Builder, targets: int, out: Buffer, transform: str) -> None:
    x = converted(build, node.x, F32)
    rows, columns = prod(x.shape[:-1]), x.shape[-1]
    w = np.asarray(node.attr("coefficients"), F32).reshape(targets, columns).T
    b = np.asarray(node.attr("intercepts", [0.0] * targets), F32)
    scores = out if transform == "NONE" else build.temporary(F32, (rows, targets))
    product_by(build, x, w, build.constant(pad_bias(b)), scores)
    if scores is not out:
        post_transform(node, build, transform, scores, out)


def _classifier_types(node: ir.Node, inputs: list[Buffer]) -> list[tuple[np.dtype, tuple[int, ...]]]:
    classes, rows = len(classes_of(node)), prod(inputs[0].shape[:-1])
    return [(np.dtype(np.int64), (rows,)), (F32, (rows, max(classes, 2)))]


@operator("LinearClassifier", domain=ML, since=1, infer=_classifier_types)
def linear_classifier(node: Node, build: Builder) -> None:
    """Scores of a linear model, and the label of the best: both, always.

    One score s for two classes is of the second: the label is the second where s > 0, the scores are (1 - s, s), or after
    LOGISTIC the logistic function of (-s, s).
    """
    classes, coefficients = classes_of(node.ir), np.asarray(node.attr("coefficients"), F32)
    targets, scores = coefficients.size // node.x.shape[-1], node.output(1)
    transform = str(node.attr("post_transform", "NONE"))
    alone = targets == 1 and len(classes) == 2
    node.require(
        alone or (targets == len(classes) and targets > 1),
        f"{targets} rows of coefficients for {len(classes)} labels",
        "export with one row per label",
    )
    raw = build.temporary(F32, (prod(node.x.shape[:-1]), targets))
    _linear_model(node, build, targets, raw, "NONE")
    if not alone:
        label(build, raw, classes, node.y)
        post_transform(node, build, transform, raw, scores)
        return
    node.require(transform != "PROBIT", "PROBIT of one score for two classes has no meaning", "export with LOGISTIC")
    pair = build.temporary(F32, scores.shape)
    label(build, raw, classes, node.y, 0.0, pair, "opposite" if transform == "LOGISTIC" else "complement")
    post_transform(node, build, transform if transform == "LOGISTIC" else "NONE", pair, scores)


@operator(
    "ArrayFeatureExtractor",
    domain=ML,
    since=1,
    infer=lambda node, inputs: [
        (
            inputs[0].dtype,
            (*(inputs[0].shape[:-1] or (1,)), inputs[1].size) if len(inputs[0].shape) > 1 else (1, inputs[1].size),
        )
    ],
)
def array_feature_extractor(node: Node, build: Builder) -> None:
    """Columns chosen by an index, which may be computed."""
    x, index = node.x, node.input(1)
    node.require_type(index, (np.dtype(np.int64),))
    sizes = (prod(x.shape[:-1]), x.shape[-1], index.size, x.dtype.itemsize)
    gathered(build, x, index, node.y, sizes, checked=True)
