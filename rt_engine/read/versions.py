"""Model-local functions that import another opset than their model: their operators become the model's.

ONNX's checker, and who inlines functions, want one version; exporters (skl2onnx) write functions for the version that they know.
"""

from collections.abc import Callable
from typing import Any

import onnx
import onnx.inliner
from onnx import FunctionProto, ModelProto, NodeProto

from rt_engine.read.walking import nodes_in

_MEANS_ANOTHER = {
    "BatchNormalization": (7, 9, 14, 15), "Dropout": (7, 12), "GroupNormalization": (21,), "Hardmax": (13,),
    "LogSoftmax": (13,), "PRelu": (7,), "Resize": (11, 13), "RoiAlign": (16,), "Softmax": (13,), "Split": (13, 18),
}  # fmt: skip
"""Operator -> the opsets in which what it computes changed, though a node can be written in the same way."""


def level(function: FunctionProto, versions: dict[str, int]) -> bool:
    """Give a function the opsets of its model where each of its nodes means the same in both; says whether it changed."""
    changed = False
    for entry in function.opset_import:
        now = versions.get(entry.domain, entry.version)
        if now != entry.version and all(
            _means_the_same(node, entry.version, now) for node in nodes_in(function.node) if node.domain == entry.domain
        ):
            entry.version, changed = now, True
    return changed


def strangers(proto: ModelProto) -> list[FunctionProto]:
    """Functions that import another opset than the model."""
    versions = {entry.domain: entry.version for entry in proto.opset_import}
    return [f for f in proto.functions if any(versions.get(e.domain, e.version) != e.version for e in f.opset_import)]


def converted(proto: ModelProto, checked: Callable[[ModelProto], None]) -> ModelProto:
    """The model with its functions in place, those of another opset converted by ONNX; itself where all have one.

    Raises:
        RAISED_BY_ONNX: it breaks ONNX's rules, or ONNX cannot convert it.
    """
    others = strangers(proto)
    if not others:
        return proto
    names = {(f.domain, f.name) for f in others}
    rest = ModelProto()
    rest.CopyFrom(proto)
    kept = [f for f in rest.functions if (f.domain, f.name) not in names]
    del rest.functions[:]
    rest.functions.extend(kept)
    checked(rest)  # what inlines must not meet a graph that nobody has checked
    del rest.functions[:]
    rest.functions.extend(proto.functions)
    for function in rest.functions:
        for node in function.node:
            node.name = f"{function.name}/{node.name or node.op_type}"  # for messages: who made it
    return onnx.inliner.inline_local_functions(rest, convert_version=True)


def _means_the_same(node: NodeProto, was: int, now: int) -> bool:
    if not (onnx.defs.has(node.op_type, was, node.domain) and onnx.defs.has(node.op_type, now, node.domain)):
        return False
    old, new = (onnx.defs.get_schema(node.op_type, v, node.domain) for v in (was, now))
    if old.since_version == new.since_version:
        return True
    changes = _MEANS_ANOTHER.get(node.op_type, ())
    if any(min(was, now) < change <= max(was, now) for change in changes):
        return False
    given = {a.name: a.type for a in node.attribute}
    if any(name not in new.attributes or _kind(new.attributes[name]) != kind for name, kind in given.items()):
        return False
    silent = (set(old.attributes) | set(new.attributes)) - set(given)
    return new.min_input <= len(node.input) <= new.max_input and all(_same_default(old, new, name) for name in silent)


def _kind(attribute: Any) -> int:
    return int(attribute.type.value)  # its stub says that it is a plain class


def _same_default(old: onnx.defs.OpSchema, new: onnx.defs.OpSchema, name: str) -> bool:
    """A node that does not give this attribute gets the same for it; one that only one version has is left out there."""
    one, other = old.attributes.get(name), new.attributes.get(name)
    if one is None or other is None:
        found = one or other
        return found is None or not found.required
    return bool(one.default_value.SerializeToString() == other.default_value.SerializeToString())
