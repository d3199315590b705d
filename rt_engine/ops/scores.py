"""What the classifiers of ai.onnx.ml share: class labels, labels from scores, transforms of scores."""

from math import prod

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rt_engine.kernels.interface.dtypes import SUFFIX
from rt_engine.kernels.interface.labels import LABEL
from rt_engine.kernels.interface.normalise import SOFTMAX
from rt_engine.ops.base import Node
from rt_engine.ops.builder import Builder
from rt_engine.ops.elementwise import broadcast
from rt_engine.ops.reduce import reduced
from rt_engine.ops.unary import unary
from rt_engine.program.calls import Buffer

ML = "ai.onnx.ml"
_PAIRS = {"complement": 1, "opposite": 2, "zero": 3}


def names_of(node: ir.Node) -> tuple[str, ...]:
    """The class labels that are strings, in their order; empty where they are numbers."""
    attribute = node.attributes.get("classlabels_strings")
    return () if attribute is None else tuple(str(name) for name in attribute.value)


def classes_of(node: ir.Node) -> NDArray[np.int64]:
    """What stands for each class in the label output: its number, or the index of its name where labels are strings."""
    names = names_of(node)
    if names:
        return np.arange(len(names))
    for attribute in ("classlabels_ints", "classlabels_int64s"):
        if attribute in node.attributes:
            return np.asarray(list(node.attributes[attribute].value), np.int64)
    return np.zeros(0, np.int64)


def label(
    build: Builder,
    scores: Buffer,
    classes: NDArray[np.int64],
    out: Buffer,
    threshold: float = 0.0,
    pair: Buffer | None = None,
    how: str = "complement",
) -> None:
    """The class of the best of several scores; of one score, whether it is above the threshold.

    Args:
        build, scores, classes, out: scores [rows, columns] -> labels [rows].
        threshold: for one column.
        pair: [rows, 2], where to write the scores of both classes that one score stands for.
        how: `complement` (1 - s, s), `opposite` (-s, s) or `zero` (0, s).
    """
    columns = scores.shape[-1]
    wanted = max(columns, 2)
    if len(classes) < wanted:
        raise ValueError(f"{columns} scores for {len(classes)} class labels")
    record = LABEL(
        scores=scores, classes=build.constant(classes), label=out, pair=pair, rows=prod(scores.shape[:-1]), columns=columns,
        how=_PAIRS[how] if pair is not None else 0, threshold=threshold,
    )  # fmt: skip
    build.call(f"label_{SUFFIX[scores.dtype]}", record)


def post_transform(node: Node, build: Builder, transform: str, scores: Buffer, out: Buffer) -> None:
    """Apply NONE, LOGISTIC, SOFTMAX, SOFTMAX_ZERO or PROBIT to rows of scores."""
    if transform == "LOGISTIC":
        unary(build, "sigmoid", scores, out)
    elif transform == "SOFTMAX":
        record = SOFTMAX(x=scores, out=out, rows=prod(scores.shape[:-1]), n=scores.shape[-1])
        build.call(f"softmax_{SUFFIX[scores.dtype]}", record, inplace=("x",))
    elif transform == "SOFTMAX_ZERO":
        _softmax_zero(build, scores, out)
    elif transform == "PROBIT":
        _probit(build, scores, out)
    else:
        node.require(transform == "NONE", f"post_transform {transform} is unknown", "export with NONE")
        build.alias(out, scores)


def _softmax_zero(build: Builder, scores: Buffer, out: Buffer) -> None:
    """Softmax that leaves zeros out: they stay zero, and are no part of the sum."""
    suffix, dtype, shape = SUFFIX[scores.dtype], scores.dtype, scores.shape
    rows, columns = prod(shape[:-1]), shape[-1]
    one = (*shape[:-1], 1)
    largest, total = build.temporary(dtype, one), build.temporary(dtype, one)
    reduced(build, "max", scores, largest, (rows, columns, 1))
    shifted, magnitude, kept = (build.temporary(dtype, shape) for _ in range(3))
    broadcast(build, f"sub_{suffix}", (scores, largest), shifted)
    unary(build, "exp", shifted, shifted)
    unary(build, "abs", scores, magnitude)
    is_some = build.temporary(np.bool_, shape)
    broadcast(build, f"greater_{suffix}", (magnitude, build.constant(np.full(1, 1e-7, dtype))), is_some)
    nothing = build.constant(np.zeros(1, dtype))
    broadcast(build, f"where_{dtype.itemsize}", (is_some, shifted, nothing), kept)
    reduced(build, "sum", kept, total, (rows, columns, 1))
    broadcast(build, f"div_{suffix}", (kept, total), out)


def _probit(build: Builder, scores: Buffer, out: Buffer) -> None:
    """sqrt(2) * erfinv(2 s - 1), by the approximation (S. Winitzki, 2008) that ONNX Runtime uses."""
    suffix, dtype, shape = SUFFIX[scores.dtype], scores.dtype, scores.shape

    def new() -> Buffer:
        return build.temporary(dtype, shape)

    def number(value: float) -> Buffer:
        return build.constant(np.full(1, value, dtype))

    def apply(name: str, a: Buffer, b: Buffer, to: Buffer | None = None) -> Buffer:
        to = to or new()
        broadcast(build, f"{name}_{suffix}", (a, b), to)
        return to

    def function(name: str, a: Buffer) -> Buffer:
        to = new()
        unary(build, name, a, to)
        return to

    x = apply("sub", apply("mul", scores, number(2.0)), number(1.0))
    log = function("log", apply("mul", apply("sub", number(1.0), x), apply("add", number(1.0), x)))
    a = 0.147
    v = apply("add", apply("mul", log, number(0.5)), number(2 / (3.14159 * a)))
    root = function("sqrt", apply("sub", apply("mul", v, v), apply("mul", log, number(1 / a))))
    size = function("sqrt", apply("sub", root, v))
    signed = apply("mul", function("sign", x), size)
    apply("mul", signed, number(1.41421356), out)
