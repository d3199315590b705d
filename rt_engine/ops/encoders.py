"""Preparation of features in ai.onnx.ml: Imputer, Binarizer, OneHotEncoder, LabelEncoder, FeatureVectorizer.

https://onnx.ai/onnx/operators/index_ai.onnx.ml.html . Numbers only: strings are refused.
"""

from math import prod
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rt_engine.kernels.interface.dtypes import CODE, SUFFIX
from rt_engine.kernels.interface.lookup import LOOKUP
from rt_engine.ops.base import FLOATS, NUMBERS, Node, Refusal, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.convert import converted
from rt_engine.ops.elementwise import binary, broadcast
from rt_engine.ops.moves import reshaped, strided_copy
from rt_engine.ops.scores import ML
from rt_engine.program.calls import Buffer

F32, F64, I64 = np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.int64)


def _same(node: ir.Node, inputs: list[Buffer]) -> list[tuple[np.dtype[Any], tuple[int, ...]]]:
    return [(inputs[0].dtype, inputs[0].shape)]


@operator("Imputer", domain=ML, since=1, infer=_same)
def imputer(node: Node, build: Builder) -> None:
    """Elements that are NaN, or equal to a number, become the number of their column."""
    x = node.x
    node.require_type(x, NUMBERS)
    kind = "float" if x.dtype in FLOATS else "int64"
    values = np.asarray(node.attr(f"imputed_value_{kind}s", []), x.dtype)
    missing = np.asarray(node.attr(f"replaced_value_{kind}", 0), x.dtype)
    columns = x.shape[-1] if x.shape else 1
    node.require(values.size in (1, columns), f"{values.size} numbers for {columns} columns", "export the model again")
    hit = build.temporary(np.bool_, x.shape)
    if x.dtype in FLOATS and np.isnan(missing):
        same = build.temporary(np.bool_, x.shape)
        binary(node, build, "equal", x, x, same)
        broadcast(build, f"where_{x.dtype.itemsize}", (same, x, build.constant(values)), node.y)
        return
    binary(node, build, "equal", x, build.constant(missing.reshape(1)), hit)
    broadcast(build, f"where_{x.dtype.itemsize}", (hit, build.constant(values), x), node.y)


@operator("Binarizer", domain=ML, since=1, infer=_same)
def binarizer(node: Node, build: Builder) -> None:
    """1 above the threshold, else 0."""
    x, threshold = node.x, float(node.attr("threshold", 0.0))
    node.require_type(x, NUMBERS)
    above = build.temporary(np.bool_, x.shape)
    if x.dtype not in FLOATS:
        threshold = float(np.clip(np.floor(threshold), np.iinfo(x.dtype).min, np.iinfo(x.dtype).max))
    binary(node, build, "greater", x, build.constant(np.full(1, threshold).astype(x.dtype)), above)
    converted(build, above, x.dtype, node.y)


def _lookup(
    build: Builder, x: Buffer, keys: NDArray[Any], values: NDArray[Any], out: Buffer, strict: bool = False
) -> None:
    """out = values[place of x among the keys]; the last of `values` is for what is not there."""
    floats = keys.dtype in FLOATS
    wide = np.asarray(keys, F64 if floats else I64)
    if floats:
        wide = np.where(np.isnan(wide), np.nan, wide + 0.0)
    bits, first = np.unique(wide.view(np.int64), return_index=True)
    table = np.concatenate([values[:-1][first], values[-1:]])
    source = converted(build, x, wide.dtype)
    record = LOOKUP(
        x=source, keys=build.constant(bits), values=build.constant(table), out=out, n=x.size, keys_count=len(bits),
        value_bytes=table.itemsize, floats=floats, strict=strict,
    )  # fmt: skip
    build.call("lookup", record)


def _one_hot_types(node: ir.Node, inputs: list[Buffer]) -> list[tuple[np.dtype[Any], tuple[int, ...]]]:
    if "cats_int64s" not in node.attributes:
        raise Refusal("its categories are strings", "encode numbers")
    return [(F32, (*inputs[0].shape, len(list(node.attributes["cats_int64s"].value))))]


@operator("OneHotEncoder", domain=ML, since=1, infer=_one_hot_types)
def one_hot_encoder(node: Node, build: Builder) -> None:
    """A 1 in the column of its category; with zeros = 0 an unknown category ends the run with a status."""
    x, categories = node.x, np.asarray(node.attr("cats_int64s", []), np.int64)
    node.require(categories.size > 0, "it has no categories that are numbers", "encode numbers")
    node.require_type(x, NUMBERS)
    if not node.attr("zeros", 1):
        places = np.arange(len(categories) + 1)
        _lookup(build, x, categories.astype(x.dtype), places, build.temporary(I64, x.shape), strict=True)
    wide = x.dtype if x.dtype in FLOATS else I64
    column = reshaped(build, converted(build, x, wide), (*x.shape, 1))
    hit = build.temporary(np.bool_, node.y.shape)
    broadcast_equal = f"equal_{SUFFIX[wide]}" if wide in FLOATS else "equal_int"
    code = None if wide in FLOATS else CODE[wide]
    broadcast(build, broadcast_equal, (column, build.constant(categories.astype(wide))), hit, code)
    converted(build, hit, F32, node.y)


_LISTS: dict[str, np.dtype[Any]] = {"floats": F32, "int64s": I64}


def _list(node: Any, side: str) -> NDArray[Any] | None:
    """Keys or values of a LabelEncoder: a list of numbers, or a tensor."""
    for name, dtype in _LISTS.items():
        attribute = node.attributes.get(f"{side}_{name}")
        if attribute is not None:
            given: NDArray[Any] = np.array(list(attribute.value), dtype)
            return given
    attribute = node.attributes.get(f"{side}_tensor")
    if attribute is None:
        return None
    array: NDArray[Any] = np.asarray(attribute.value.numpy()).reshape(-1)
    return array


def _label_encoder_types(node: ir.Node, inputs: list[Buffer]) -> list[tuple[np.dtype[Any], tuple[int, ...]]]:
    values = _list(node, "values")
    return [(I64 if values is None else values.dtype, inputs[0].shape)]


@operator("LabelEncoder", domain=ML, since=2, infer=_label_encoder_types)
def label_encoder(node: Node, build: Builder) -> None:
    """A dictionary from numbers to numbers; of equal keys the first counts; NaN is a key from version 4 on."""
    keys, values = _list(node.ir, "keys"), _list(node.ir, "values")
    if keys is None or values is None or keys.dtype.hasobject or values.dtype.hasobject:
        node.require(False, "its keys or values are strings", "encode numbers")
        return
    node.require(len(keys) == len(values) > 0, f"{len(keys)} keys for {len(values)} values", "export the model again")
    node.require_type(node.x, NUMBERS)
    if node.version < 4 and keys.dtype in FLOATS:
        keys, values = keys[~np.isnan(keys)], values[~np.isnan(keys)]
    usual = {"f": ("default_float", -0.0), "i": ("default_int64", -1)}[values.dtype.kind]
    default = node.attr("default_tensor")
    if default is None:
        default = node.attr(*usual)
    last = np.asarray(default, values.dtype).reshape(-1)[:1]
    _lookup(build, node.x, keys, np.concatenate([values, last]), node.y)


def _matrix(x: Buffer) -> tuple[int, int]:
    return (x.shape[0], 1) if len(x.shape) == 1 else (prod(x.shape[:-1]), x.shape[-1])


@operator(
    "FeatureVectorizer",
    domain=ML,
    since=1,
    infer=lambda node, inputs: [
        (F32, (_matrix(inputs[0])[0], sum(int(d) for d in node.attributes["inputdimensions"].value)))
    ],
)
def feature_vectorizer(node: Node, build: Builder) -> None:
    """Inputs side by side as float32; each is cut or filled up with zeros to its given width."""
    widths, y = [int(d) for d in node.attr("inputdimensions", [])], node.y
    node.require(len(widths) == len(node.inputs), f"{len(widths)} widths for {len(node.inputs)} inputs", "export again")
    node.require(min(widths, default=0) >= 0, "a width is negative", "export the model again")
    if any(width > _matrix(node.input(i))[1] for i, width in enumerate(widths)):
        build.fill(y)
    done = 0
    for i, width in enumerate(widths):
        x = converted(build, node.input(i), F32)
        rows, columns = _matrix(x)
        node.require(rows == y.shape[0], "its inputs have different numbers of rows", "export the model again")
        taken = min(width, columns)
        strided_copy(build, x, y, (rows, taken), (columns, 1), (y.shape[1], 1), 0, done)
        done += width
