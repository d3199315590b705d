"""Support vector machines of ai.onnx.ml.

https://onnx.ai/onnx/operators/onnx_aionnxml_SVMClassifier.html, ..._SVMRegressor.html; results as in ONNX Runtime and libsvm.
"""

from itertools import combinations
from math import prod
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rt_engine.kernels.interface.svm import SVM, SVM_CLASSES
from rt_engine.ops.base import Node, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.convert import converted
from rt_engine.ops.elementwise import broadcast
from rt_engine.ops.linear import pad_bias, product_by
from rt_engine.ops.scores import ML, classes_of, label, post_transform
from rt_engine.program.calls import Buffer

F32 = np.dtype(np.float32)
_KERNELS = {"LINEAR": 0, "POLY": 1, "RBF": 2, "SIGMOID": 3}
_PANEL = 64
"""Support vectors that the kernel works on at once: four panels of 16."""
Floats = NDArray[np.float32]


def _rows(x: Any) -> int:
    return prod(x.shape[:-1])


def _floats(node: Node, name: str) -> Floats:
    return np.asarray(node.attr(name, []), F32)


def _decisions(node: Node, build: Builder, vectors: Floats, coefficients: Floats, rho: Floats) -> Buffer:
    """Decision values [rows, decisions] of support vectors [count, features] and coefficients [decisions, count]."""
    x = converted(build, node.x, F32)
    features, count = x.shape[-1], len(vectors)
    name = str(node.attr("kernel_type", "LINEAR"))
    node.require(name in _KERNELS, f"kernel_type {name} is unknown", f"use one of {', '.join(_KERNELS)}")
    parameters = [float(p) for p in node.attr("kernel_params", [])] or [0.0, 0.0, 0.0]
    node.require(len(parameters) == 3, "kernel_params are not gamma, coef0 and degree", "export the model again")
    places = -(-count // _PANEL) * _PANEL
    padded = np.zeros((places, features), F32)
    padded[:count] = vectors
    panels = padded.reshape(places // 16, 16, features).transpose(0, 2, 1)
    weights = np.zeros((len(coefficients), places), F32)
    weights[:, :count] = coefficients
    out = build.temporary(F32, (_rows(x), len(coefficients)))
    gamma, coef0, degree = parameters
    record = SVM(
        x=x, vectors=build.constant(np.ascontiguousarray(panels)), coefficients=build.constant(weights),
        rho=build.constant(rho), out=out, work=build.temporary(F32, (places,)), rows=_rows(x), features=features,
        count=count, decisions=len(coefficients), function=_KERNELS[name], gamma=gamma, coef0=coef0, degree=degree,
    )  # fmt: skip
    build.call("svm_f32", record, macs=_rows(x) * places * (features + len(coefficients)))
    return out


def _support_vectors(node: Node, count: int) -> Floats:
    vectors, features = _floats(node, "support_vectors"), node.x.shape[-1]
    node.require(
        vectors.size == count * features,
        f"{vectors.size} numbers for {count} support vectors of {features} features",
        "export the model again",
    )
    return vectors.reshape(count, features)


def _linear(node: Node, build: Builder, coefficients: Floats, rho: Floats) -> Buffer:
    """x @ coefficients + rho, where there are no support vectors: [decisions, features]."""
    x = converted(build, node.x, F32)
    out = build.temporary(F32, (_rows(x), len(coefficients)))
    product_by(build, x, coefficients.T, build.constant(pad_bias(rho)), out)
    return out


@operator("SVMRegressor", domain=ML, since=1, infer=lambda node, inputs: [(F32, (_rows(inputs[0]), 1))])
def svm_regressor(node: Node, build: Builder) -> None:
    """The decision value; of a one-class machine its side, 1 or -1."""
    count, coefficients, rho = int(node.attr("n_supports", 0)), _floats(node, "coefficients"), _floats(node, "rho")
    node.require(rho.size >= 1 and count >= 0, "rho is missing", "export the model again")
    if count:
        node.require(coefficients.size == count, f"{coefficients.size} coefficients for {count} support vectors", "")
        decisions = _decisions(node, build, _support_vectors(node, count), coefficients.reshape(1, -1), rho[:1])
    else:
        features = node.x.shape[-1]
        node.require(coefficients.size == features, f"{coefficients.size} coefficients for {features} features", "")
        decisions = _linear(node, build, coefficients.reshape(1, -1), rho[:1])
    transform = str(node.attr("post_transform", "NONE"))
    node.require(transform == "NONE", f"post_transform {transform} is not supported here", "export with NONE")
    if not node.attr("one_class", 0):
        build.alias(node.y, decisions)
        return
    above = build.temporary(np.bool_, decisions.shape)
    one, minus, zero = (build.constant(np.full(1, v, F32)) for v in (1, -1, 0))
    broadcast(build, "greater_f32", (decisions, zero), above)
    broadcast(build, "where_4", (above, one, minus), node.y)


def _classifier_types(node: ir.Node, inputs: list[Any]) -> list[tuple[Any, tuple[int, ...]]]:
    rows, classes = _rows(inputs[0]), len(classes_of(node))
    pairs = classes * (classes - 1) // 2
    is_pairs = "prob_a" not in node.attributes and "vectors_per_class" in node.attributes and classes > 2
    return [(np.dtype(np.int64), (rows,)), (F32, (rows, pairs if is_pairs else classes))]


@operator("SVMClassifier", domain=ML, since=1, infer=_classifier_types)
def svm_classifier(node: Node, build: Builder) -> None:
    """The class that wins most pairs; and probabilities, or the decision of every pair (of one pair: of both sides)."""
    classes, per_class = classes_of(node.ir), [int(v) for v in node.attr("vectors_per_class", [])]
    coefficients, rho = _floats(node, "coefficients"), _floats(node, "rho")
    node.require(len(classes) >= 2, f"it has {len(classes)} class labels", "train with two classes or more")
    node.require(min(per_class, default=0) >= 0, "vectors_per_class has a negative number", "export the model again")
    if sum(per_class) == 0:
        _linear_classifier(node, build, classes, coefficients, rho)
        return
    pairs, count = list(combinations(range(len(classes)), 2)), sum(per_class)
    node.require(
        len(per_class) == len(classes) and coefficients.size == (len(classes) - 1) * count and rho.size == len(pairs),
        f"{coefficients.size} coefficients, {rho.size} rho and {len(per_class)} vectors_per_class for {len(classes)} classes",
        "export the model again",
    )
    weights = _pair_weights(pairs, per_class, coefficients.reshape(len(classes) - 1, count))
    decisions = _decisions(node, build, _support_vectors(node, count), weights, rho)
    transform = str(node.attr("post_transform", "NONE"))
    platt = [_floats(node, name) for name in ("prob_a", "prob_b")]
    probable = bool(platt[0].size)
    scores = node.output(1)
    node.require(
        platt[0].size == platt[1].size and platt[0].size in (0, len(pairs)),
        "prob_a and prob_b have not one number for every pair of classes",
        "export the model again",
    )
    work = build.temporary(np.float64, ((len(classes) + 3) * len(classes),))
    probabilities = build.temporary(F32, scores.shape) if probable else None
    record = SVM_CLASSES(
        decisions=decisions, classes=build.constant(classes), platt=build.constant(np.concatenate(platt)), label=node.y,
        probabilities=probabilities, work=work, rows=_rows(node.x), count=len(classes), probable=probable,
    )  # fmt: skip
    build.call("svm_classes_f32", record)
    if probabilities is not None:
        post_transform(node, build, transform, probabilities, scores)
    elif len(classes) == 2:
        _both_sides(node, build, classes, decisions, transform)
    else:
        post_transform(node, build, transform, decisions, scores)


def _pair_weights(pairs: list[tuple[int, int]], per_class: list[int], coefficients: Floats) -> Floats:
    """[pair, vector] of libsvm's [class - 1, vector]: of pair (i, j) take part the vectors of i and those of j."""
    starts = np.concatenate([[0], np.cumsum(per_class)])
    weights = np.zeros((len(pairs), coefficients.shape[1]), F32)
    for row, (i, j) in zip(weights, pairs, strict=True):
        of_i, of_j = slice(starts[i], starts[i + 1]), slice(starts[j], starts[j + 1])
        row[of_i], row[of_j] = coefficients[j - 1, of_i], coefficients[i, of_j]
    return weights


def _both_sides(node: Node, build: Builder, classes: NDArray[np.int64], decisions: Buffer, transform: str) -> None:
    """(-d, d) of the one decision d of two classes; transformed, (1 - d, d) or the logistic function of (-d, d)."""
    how = "complement" if transform not in ("NONE", "LOGISTIC") else "opposite"
    pair, unused = build.temporary(F32, node.output(1).shape), build.temporary(np.int64, node.y.shape)
    label(build, decisions, classes, unused, 0.0, pair, how)
    post_transform(node, build, "LOGISTIC" if transform == "LOGISTIC" else "NONE", pair, node.output(1))


def _linear_classifier(
    node: Node, build: Builder, classes: NDArray[np.int64], coefficients: Floats, rho: Floats
) -> None:
    """One linear score per class."""
    features = node.x.shape[-1]
    node.require(
        coefficients.size == len(classes) * features and rho.size >= 1,
        f"{coefficients.size} coefficients for {len(classes)} classes of {features} features",
        "export the model again",
    )
    node.require(len(classes) > 2, "two linear scores for two classes have no one meaning", "use LinearClassifier")
    scores = _linear(node, build, coefficients.reshape(len(classes), features), np.full(len(classes), rho[0], F32))
    label(build, scores, classes, node.y)
    post_transform(node, build, str(node.attr("post_transform", "NONE")), scores, node.output(1))
