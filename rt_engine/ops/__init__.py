"""Operators: one file for those that are lowered by the same lines (docs/adr/0004), found here by being in this folder.

An operator's file says which ONNX operator and which versions it serves and how it lowers to kernel calls:

    @operator("Relu", since=6)
    def relu(node: Node, build: Builder) -> None:
        ...

See `rt_engine.ops.base` for `Node` and `rt_engine.ops.builder` for `Builder`. The kernels that it calls are in `rt_engine.kernels`.
"""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

import onnx_ir as ir

from rt_engine.ops.base import Elements, Operator, registry


@cache
def operators() -> dict[tuple[str, str], list[Operator]]:
    """(domain, ONNX name) -> its operators, newest version first."""
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    return registry()


def find(domain: str, name: str, version: int) -> Operator | None:
    """The operator that serves an ONNX operator at an opset version, if there is one."""
    for candidate in operators().get((domain, name), ()):
        if candidate.since <= version:
            return candidate
    return None


def elements_of(node: ir.Node, opsets: Mapping[str, int]) -> Elements | None:
    """What makes an element of a node's result, if that lies at its place; `opsets` are those of the model."""
    operator = find(node.domain, node.op_type, opsets.get(node.domain, 1))
    return None if operator is None else operator.elements
