"""Einsum: https://onnx.ai/onnx/operators/onnx__Einsum.html

"bij,bjk->bik"   operands are folded from the left, two at a time, into one product:

    a: diagonals taken, sums over labels that nobody else has
    [batch..., left..., contracted] @ [batch..., contracted, right...] -> [batch..., left..., right...]

batch       in both, and wanted later         left, right    in one of them
contracted  in both, and wanted by nobody
"""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import onnx_ir as ir

from rt_engine.kernels.interface.dtypes import CODE, SUFFIX
from rt_engine.kernels.interface.reduce import MATMUL
from rt_engine.kernels.interface.strides import contiguous
from rt_engine.ops.base import FLOATS, NUMBERS, Node, Refusal, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.elementwise import broadcast
from rt_engine.ops.linear import run_time_product
from rt_engine.ops.moves import broadcast_to, reshaped, strided_copy, transposed
from rt_engine.ops.reduce import reduced
from rt_engine.program.calls import Buffer


@dataclass(frozen=True, slots=True)
class Term:
    """A tensor whose axes have labels, each once."""

    x: Buffer
    labels: str


def parse(equation: str, ranks: list[int]) -> tuple[list[str], str]:
    """Labels of each operand and of the result; the axes of an ellipsis get labels of their own.

    Raises:
        Refusal: the equation does not fit the operands.
    """
    text = "".join(equation.split())
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise Refusal(f"equation {equation!r} has {len(terms)} terms, the node has {len(ranks)} inputs")
    spare = [chr(0x100 + i) for i in range(16)]
    most, parsed = 0, []
    for term, rank in zip(terms, ranks, strict=True):
        before, dots, after = term.partition("...")
        extra = rank - len(before) - len(after)
        letters = before + after
        if (extra and not dots) or not 0 <= extra <= len(spare) or (letters and not letters.isalpha()):
            raise Refusal(f"term {term!r} of {equation!r} does not fit a tensor with {rank} dimensions")
        most = max(most, extra)
        parsed.append(before + "".join(spare[len(spare) - extra :]) + after)
    every = "".join(spare[len(spare) - most :])
    if arrow:
        result = right.replace("...", every)
    else:
        letters = "".join(parsed)
        result = every + "".join(sorted(c for c in set(letters) if c not in every and letters.count(c) == 1))
    if len(set(result)) != len(result) or not set(result) <= set("".join(parsed)):
        raise Refusal(f"the result of {equation!r} has a label twice, or one that no term has")
    return parsed, result


def _sizes(labels: list[str], shapes: list[tuple[int, ...]]) -> dict[str, int]:
    """Size of each label; 1 goes with every size."""
    sizes: dict[str, int] = {}
    for names, shape in zip(labels, shapes, strict=True):
        for name, n in zip(names, shape, strict=True):
            if n != 1 and sizes.get(name, 1) not in (1, n):
                raise Refusal(f"label {name!r} is {sizes[name]} and {n}")
            sizes[name] = n if n != 1 else sizes.get(name, 1)
    return sizes


def _types(node: ir.Node, inputs: list[Any]) -> list[tuple[Any, tuple[int, ...]]]:
    shapes = [x.shape for x in inputs]
    labels, result = parse(node.attributes["equation"].as_string(), [len(s) for s in shapes])
    sizes = _sizes(labels, shapes)
    return [(inputs[0].dtype, tuple(sizes[c] for c in result))]


@operator("Einsum", since=12, infer=_types)
def einsum(node: Node, build: Builder) -> None:
    """Any equation, with ellipses, repeated labels and any number of operands."""
    operands = [node.input(i) for i in range(len(node.inputs))]
    node.require_type(node.x, NUMBERS)
    labels, result = parse(str(node.attr("equation")), [len(o.shape) for o in operands])
    sizes = _sizes(labels, [o.shape for o in operands])
    if not node.y.size:
        return
    if not all(o.size for o in operands):
        build.copy(node.y, build.constant(np.zeros(node.y.shape, node.y.dtype)))
        return
    terms = [_plain(build, x, names, sizes) for x, names in zip(operands, labels, strict=True)]
    total = terms[0]
    for i, other in enumerate(terms[1:], 1):
        later = result + "".join(t.labels for t in terms[i + 1 :])
        total = _pair(
            build, _summed(build, total, later + other.labels), _summed(build, other, later + total.labels), later
        )
    total = _summed(build, total, result)
    _emit(build, total, result, node.y)


def _emit(build: Builder, term: Term, result: str, y: Buffer) -> None:
    """In the order of the result; a label that was of size 1 everywhere, or is broadcast, comes back."""
    order = [c for c in result if c in term.labels]
    x = transposed(build, term.x, [term.labels.index(c) for c in order])
    shape = [x.shape[order.index(c)] if c in order else 1 for c in result]
    broadcast_to(build, reshaped(build, x, shape), y.shape, y)


def _plain(build: Builder, x: Buffer, labels: str, sizes: dict[str, int]) -> Term:
    """Diagonals of repeated labels; axes of size 1 that are broadcast go."""
    kept = "".join(dict.fromkeys(c for c, n in zip(labels, x.shape, strict=True) if n == sizes[c]))
    if len(kept) == len(labels):
        return Term(x, kept)
    strides = contiguous(x.shape)
    steps = {c: sum(s for k, s, n in zip(labels, strides, x.shape, strict=True) if k == c and n != 1) for c in kept}
    shape = [sizes[c] for c in kept]
    if prod(shape) == x.size:
        return Term(reshaped(build, x, shape), kept)
    out = build.temporary(x.dtype, shape)
    strided_copy(build, x, out, shape, [steps[c] for c in kept])
    return Term(out, kept)


def _summed(build: Builder, term: Term, wanted: str) -> Term:
    """Sums over the labels that nobody wants."""
    kept = "".join(c for c in term.labels if c in wanted)
    if kept == term.labels:
        return term
    gone = [c for c in term.labels if c not in wanted]
    x = transposed(build, term.x, [term.labels.index(c) for c in (*kept, *gone)])
    shape = x.shape[: len(kept)]
    out = build.temporary(x.dtype, shape)
    reduced(build, "sum", x, out, (prod(shape), x.size // prod(shape), 1))
    return Term(out, kept)


def _pair(build: Builder, a: Term, b: Term, wanted: str) -> Term:
    """The product of two terms, summed over the labels that nobody wants."""
    both = [c for c in a.labels if c in b.labels]
    batch, contracted = [c for c in both if c in wanted], [c for c in both if c not in wanted]
    left, right = [c for c in a.labels if c not in both], [c for c in b.labels if c not in both]
    labels = "".join((*batch, *left, *right))
    x = transposed(build, a.x, [a.labels.index(c) for c in (*batch, *left, *contracted)])
    y = transposed(build, b.x, [b.labels.index(c) for c in (*batch, *contracted, *right)])
    size = {**dict(zip(a.labels, a.x.shape, strict=True)), **dict(zip(b.labels, b.x.shape, strict=True))}
    out = build.temporary(x.dtype, [size[c] for c in labels])
    count, m, k, n = (prod(size[c] for c in group) for group in (batch, left, contracted, right))
    if not contracted:
        operands = (reshaped(build, x, (count, m, 1)), reshaped(build, y, (count, 1, n)))
        target = reshaped(build, out, (count, m, n))
        code = None if x.dtype in FLOATS else int(CODE[x.dtype])
        broadcast(build, f"mul_{SUFFIX.get(x.dtype, 'int')}", operands, target, code)
    elif x.dtype in FLOATS:
        run_time_product(build, x, y, out, (m, k, n), (count, m * k, k * n if count > 1 else 0), (n, 1))
    elif x.dtype.itemsize >= 4:
        kernel = "matmul_i32" if x.dtype.itemsize == 4 else "matmul_i64"
        record = MATMUL(
            a=x, b=y, out=out, batch=count, rows=m, depth=k, columns=n, a_batch=m * k, b_batch=k * n, out_batch=m * n
        )
        build.call(kernel, record, macs=count * m * k * n)
    else:
        raise Refusal(f"products of {x.dtype} are not supported", "cast to int32")
    return Term(out, labels)
