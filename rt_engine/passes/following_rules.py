"""The walk: which rule is whose, what follows from it, and what a model's outputs become."""

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from rt_engine.errors import ShapeBindingError
from rt_engine.ops import elements_of
from rt_engine.ops.base import RT_DOMAIN
from rt_engine.ops.graph import constant
from rt_engine.passes import length_masks as masks
from rt_engine.passes import length_pads as pads
from rt_engine.passes import length_reductions as reductions
from rt_engine.passes import length_rules as rules
from rt_engine.passes import length_scatter as scatter
from rt_engine.passes import length_sizes as sizes
from rt_engine.passes.compilation import Compilation
from rt_engine.passes.following import Step
from rt_engine.passes.length_bodies import refuse_lengths
from rt_engine.passes.lengths import Along
from rt_engine.passes.sequences import elements

_REDUCE = ("Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "SumSquare", "LogSum", "LogSumExp")
_ITEMS = (
    "Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool", "BatchNormalization",
    "InstanceNormalization", "LRN", "DepthToSpace", "SpaceToDepth",
)  # fmt: skip
_NORMS = ("LayerNormalization", "RMSNormalization")
_FOUND: dict[str, rules.Rule] = {
    "NonMaxSuppression": masks.non_max_suppression,
    "NonZero": masks.non_zero,
    "Compress": masks.compress,
    "Unique": masks.unique,
}
"""What makes a length of its own, where its inputs are not constants."""
_SIZED: dict[str, tuple[tuple[int, ...], rules.Rule]] = {
    "ConstantOfShape": ((0,), masks.constant_of_shape),
    "Expand": ((1,), masks.expand),
    "Range": ((1,), masks.range_),
    "Tile": ((1,), masks.tile),
    "TopK": ((1,), masks.top_k),
    "Slice": ((1, 2), rules.slice_),
}
"""What takes a length from an input: which can be one, and the rule."""
_RULES: dict[str, rules.Rule] = {
    **{op: rule for op, (_, rule) in _SIZED.items() if op not in ("ConstantOfShape", "Range")},
    **_FOUND,
    **{f"Reduce{kind}": reductions.reduce for kind in _REDUCE},
    **dict.fromkeys(_ITEMS, rules.batched),
    **dict.fromkeys(("ArgMax", "ArgMin"), reductions.arg),
    **dict.fromkeys(("CumSum", "CumProd"), reductions.cumulate),
    **dict.fromkeys(("Softmax", "LogSoftmax"), rules.softmax),
    **dict.fromkeys(("Identity", "Dropout", "Mod", "IsNaN", "IsInf", "PRelu"), rules.elementwise),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear"), rules.quantised),
    "Concat": rules.concat,
    "Flatten": rules.flatten,
    "Gather": masks.gather,
    "GatherElements": masks.gather_elements,
    "GatherND": masks.gather_nd,
    "Gemm": reductions.gemm,
    **dict.fromkeys(_NORMS, rules.layer_norm),
    "MatMul": reductions.matmul,
    "OneHot": masks.one_hot,
    "Pad": pads.pad,
    "Reshape": rules.reshape,
    "RoiAlign": masks.roi_align,
    "ScatterElements": scatter.scatter_elements,
    "ScatterND": scatter.scatter_nd,
    "Split": masks.split,
    "Squeeze": rules.squeeze,
    "Transpose": rules.transpose,
    "Unsqueeze": rules.unsqueeze,
}
_CLASSICAL: dict[str, rules.Rule] = dict.fromkeys(
    ("Binarizer", "Imputer", "LinearClassifier", "LinearRegressor", "Normalizer", "SVMClassifier", "SVMRegressor",
     "Scaler", "TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor"), rules.rows,
)  # fmt: skip
_OWN: dict[str, rules.Rule] = {**dict.fromkeys(_NORMS, rules.layer_norm), "ClearRest": rules.elementwise}
"""Of this engine's operators: what ONNX Runtime's have become, and what sequences have."""


def follow(compilation: Compilation, node: ir.Node, infer: Callable[[ir.Node], None]) -> bool:
    """Infer a node, and what its outputs' lengths are; False where other nodes took its place.

    Raises:
        Refusal: it is not known what it does with a length that is only known at run time.
    """
    lengths = compilation.lengths
    step = Step(compilation, node, infer)
    if lengths.finished:
        infer(node)
        return True
    found = _found(step)
    if found is None:
        return False
    infer(node)
    for i, along in found.items():
        if i < len(node.outputs):
            lengths.along[node.outputs[i]] = along
            assert node.outputs[i].shape is not None
            shown = node.outputs[i].shape[along.axis]  # type: ignore[index]
            assert shown == along.length.bound, (node.op_type, shown, along.length.bound)
    return _settled(step)


def _found(step: Step) -> dict[int, Along] | None:
    node, lengths = step.node, step.lengths
    dynamic = any(v in lengths.along for v in node.inputs)
    open_ = node.domain == "" and any(v is not None and v.const_value is None for v in node.inputs)
    if node.domain == "" and node.op_type in ("Shape", "Size"):
        if not dynamic:
            return {}
        (sizes.shape if node.op_type == "Shape" else sizes.size)(step)
        return None
    if open_ and node.op_type in _FOUND:
        return _FOUND[node.op_type](step)
    if not dynamic and open_ and node.op_type in _SIZED:
        places, rule = _SIZED[node.op_type]
        if any(not _all_known(step, at) for at in places):
            return rule(step)
    if not dynamic:
        return {}
    if (
        known := {"": _RULES, RT_DOMAIN: _OWN, "ai.onnx.ml": _CLASSICAL}.get(node.domain, {}).get(node.op_type)
    ) is not None:
        return known(step)
    if elements_of(node, step.compilation.opsets) is not None:
        return rules.elementwise(step)
    return rules.no_rule(step)


def _all_known(step: Step, i: int) -> bool:
    value = step.value(i)
    if value is None or constant(value) is not None:
        return True
    found = step.sizes(i)
    return found is not None and all(isinstance(size, int) for size in found)


def _settled(step: Step) -> bool:
    """Note the numbers that follow from lengths; what is known now is a constant."""
    known = sizes.derived(step)
    if known is None:
        return True
    out = step.node.outputs[0]
    if all(isinstance(size, int) for size in known):
        assert out.dtype is not None and out.shape is not None
        shape = tuple(int(d) for d in out.shape)  # type: ignore[arg-type]
        step.become([step.constant(np.array(known, out.dtype.numpy()).reshape(shape))])
        return False
    step.lengths.known[out] = known
    return True


def finish(compilation: Compilation, infer: Callable[[ir.Node], None]) -> None:
    """Outputs get their bound's shape, zeros behind their count, and the count as an output `NAME_count`.

    Raises:
        ShapeBindingError: a bound that nothing needed.
    """
    graph, lengths = compilation.graph, compilation.lengths
    if compilation.scope is not None or lengths.finished:
        return
    refuse_lengths(compilation, (part for v in graph.outputs for part in elements(v) or ()), "gives in a sequence")
    shown = compilation.shown or [str(v.name) for v in graph.outputs]
    taken = {*shown, *(str(v.name) for v in graph.inputs)}
    for i, (value, name) in enumerate(zip(list(graph.outputs), shown, strict=True)):
        along = lengths.along.get(value)
        if along is not None:
            _counted(compilation, infer, i, value, along, (name, _free(f"{name}_count", taken)))
    lengths.finished = True
    unused = sorted(compilation.binding.bounds.keys() - lengths.used)
    if unused:
        raise ShapeBindingError(
            f"{compilation.source} has no length that needs the bound {', '.join(map(repr, unused))}; "
            "those that it has are called, by node or output, "
            f"{', '.join(map(repr, sorted(lengths.used))) or 'by no name: there are none'}"
        )


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _counted(
    compilation: Compilation,
    infer: Callable[[ir.Node], None],
    i: int,
    value: ir.Value,
    along: Along,
    names: tuple[str, str],
) -> None:
    graph, length, (shown, name) = compilation.graph, along.length, names
    attributes = {"axis": along.axis, "factor": length.factor, "pattern": 0, "least": 0}
    masked = ir.node("ClearRest", [value, length.count], attributes, domain=RT_DOMAIN, name=f"{shown}.rest")
    count = ir.node("Length", [length.count], {"factor": length.factor}, domain=RT_DOMAIN, name=name)
    for node, title in ((masked, shown), (count, name)):
        graph.append(node)
        infer(node)
        node.outputs[0].name = title
    value.name = f"{shown}.whole"
    graph.outputs[i] = masked.outputs[0]
    graph.outputs.append(count.outputs[0])
    compilation.counts[shown] = (name, along.axis)
    compilation.assumed.append(
        f"output '{shown}' has at most {length.bound} elements along axis {along.axis}: "
        f"'{name}' says how many there are, those behind are zero"
    )
