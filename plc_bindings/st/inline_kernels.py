"""Kernel calls of the engine as Structured Text: one function per kernel, which writes the lines of one call.

    Call("gemm_f32", GEMM(a=x, b=weights, ...))   ->   WHILE rt_i < 64 DO
                                                           rt_v := rt_c2[rt_i];
                                                           WHILE rt_j < 7 DO
                                                               rt_v := rt_v + rt_c1[...] * x[rt_j]; ...

What a call's record holds is in `rt_engine.kernels.interface`, what the kernels do in the modules of the same names. Sums run in
the order of the index, from the bias or zero; every product and every sum is rounded, where the engine's kernels fuse both.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from math import inf, isfinite
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from plc_bindings.st.inline_functions import FUNCTIONS, SINGLE_ONLY
from plc_bindings.st.inline_writer import Writer, number, place, type_of
from rt_engine.kernels.interface.panels import MATRIX_PANEL
from rt_engine.ops.base import Refusal
from rt_engine.ops.linear import lanes, pack, packed_columns
from rt_engine.ops.sparse import unpack_blocks
from rt_engine.program.calls import Call

Emit = Callable[[Call, Writer], None]
KERNELS: Final[dict[str, Emit]] = {}
"""Kernel, without the type behind its name -> what writes it."""
_SUFFIX: Final = re.compile(r"_(f32|f64|bool|f32_big|[1248])$")


def emit(call: Call, writer: Writer) -> None:
    """Write one call.

    Raises:
        Refusal: there is no Structured Text for it.
    """
    name = call.kernel if call.kernel in KERNELS else _SUFFIX.sub("", call.kernel)
    if name not in KERNELS:
        raise Refusal(
            f"the engine computes it with '{call.kernel}', which has no form in Structured Text",
            "call the model through the ADS or Modbus server: rt-engine export st STATION",
        )
    KERNELS[name](call, writer)


def kernel(*names: str) -> Callable[[Emit], Emit]:
    """Register what writes these kernels."""

    def register(function: Emit) -> Emit:
        KERNELS.update(dict.fromkeys(names, function))
        return function

    return register


# --- element by element -------------------------------------------------------------------------------------------------


def _unary(call: Call, writer: Writer) -> None:
    record = call.record
    x, y = record.x, record.out
    name = _SUFFIX.sub("", call.kernel)
    if name in SINGLE_ONLY and x.dtype != np.float32:
        raise Refusal(f"'{name}' is only there for float32", "export the model in float32")
    names = {n: writer.value(n, x.dtype) for n in ("v", "a", "b", "c") if f"${n}" in FUNCTIONS[name] or n == "v"}
    names |= {
        n: writer.literal(np.asarray(p, x.dtype)[()], x.dtype)
        for n, p in (("p", record.p), ("q", record.q))
        if isfinite(p)
    }
    text = FUNCTIONS[name]
    if name == "clip":
        text = "".join(
            f"IF $v {sign} ${n} THEN\n    $v := ${n};\nEND_IF;\n" for sign, n in (("<", "p"), (">", "q")) if n in names
        )
    with writer.loop("i", record.n) as i:
        writer.line(f"{names['v']} := {writer.element(x, i)};")
        calls = max(len(re.findall(r"\b(?:EXP|LN|SQRT|SIN|COS)\(", text)), 0)
        writer.block(text, names, functions=min(calls, 1), operations=1)
        writer.line(f"{writer.element(y, i)} := {names['v']};")


KERNELS.update(dict.fromkeys(FUNCTIONS, _unary))

_BINARY: Final = {
    "add": "$o := $x + $y;",
    "sub": "$o := $x - $y;",
    "mul": "$o := $x * $y;",
    "div": "$o := $x / $y;",
    "min": "$v := $x;\nIF $y < $v OR $y <> $y THEN\n    $v := $y;\nEND_IF;\n$o := $v;",
    "max": "$v := $x;\nIF $y > $v OR $y <> $y THEN\n    $v := $y;\nEND_IF;\n$o := $v;",
    "prelu": "$v := $x;\nIF $v < 0.0 THEN\n    $v := $v * $y;\nEND_IF;\n$o := $v;",
    "equal": "$o := $x = $y;",
    "less": "$o := $x < $y;",
    "less_or_equal": "$o := $x <= $y;",
    "greater": "$o := $x > $y;",
    "greater_or_equal": "$o := $x >= $y;",
    "and": "$o := $x AND $y;",
    "or": "$o := $x OR $y;",
    "xor": "$o := $x XOR $y;",
    "scale_shift": "$o := $x * $y + $z;",
    "where": "IF $x THEN\n    $o := $y;\nELSE\n    $o := $z;\nEND_IF;",
}


_OF_INTEGERS: Final = ("equal", "less", "less_or_equal", "greater", "greater_or_equal", "min", "max")
"""Arithmetic of integers is not here: where it overflows, the engine's 64 bits and a DINT differ."""


@kernel(*_BINARY, *(f"{name}_int" for name in _OF_INTEGERS))
def _elementwise(call: Call, writer: Writer) -> None:
    """Two or three operands with strides."""
    record = call.record
    rows, n = record.rows, record.n
    sources = {letter: getattr(record, letter) for letter in "xyz" if getattr(record, letter) is not None}
    text = _BINARY[_SUFFIX.sub("", call.kernel.removesuffix("_int"))]
    names = {"v": writer.value("v", record.x.dtype)} if "$v" in text else {}
    with writer.loop("r", rows) as r, writer.loop("i", n) as i:
        for letter, source in sources.items():
            row, inner = getattr(record, f"{letter}_row"), getattr(record, f"{letter}_inner")
            names[letter] = writer.element(source, place((r, row), (i, inner)))
        names["o"] = writer.element(record.out, place((r, n), (i, 1)))
        writer.block(text, names, operations=1)


@kernel("pow")
def _pow(call: Call, writer: Writer) -> None:
    """Powers that are products or a root."""
    record = call.record
    exponent = writer.known_value(record.y)
    text = {2.0: "$v * $v", 3.0: "$v * $v * $v", 0.5: "SQRT($v)"}.get(
        float(exponent.reshape(-1)[0]) if exponent is not None and exponent.size == 1 else inf
    )
    if text is None or record.rows != 1:
        raise Refusal("only powers of 2, 3 and 0.5 are inlined", "write the power as products, or call a server")
    v = writer.value("v", record.x.dtype)
    with writer.loop("i", record.n) as i:
        writer.line(f"{v} := {writer.element(record.x, place((i, record.x_inner)))};")
        writer.line(f"{writer.element(record.out, i)} := {text.replace('$v', v)};", operations=1)


@kernel("not_bool")
def _not(call: Call, writer: Writer) -> None:
    with writer.loop("i", call.record.n) as i:
        source, out = writer.element(call.record.x, i), writer.element(call.record.out, i)
        writer.line(f"{out} := NOT {source};", operations=1)


@kernel("cast")
def _cast(call: Call, writer: Writer) -> None:
    x, out = call.record.x, call.record.out
    source, target = type_of(x.dtype), type_of(out.dtype)
    zero, one = number(0, out.dtype), number(1, out.dtype)
    with writer.loop("i", call.record.n) as i:
        given, to = writer.element(x, i), writer.element(out, i)
        if source == target:
            writer.line(f"{to} := {given};", operations=1)
        elif target == "BOOL":
            writer.line(f"{to} := {given} <> {number(0, x.dtype)};", operations=1)
        elif source == "BOOL":
            writer.block(f"IF {given} THEN\n    {to} := {one};\nELSE\n    {to} := {zero};\nEND_IF;", {}, operations=1)
        elif target == "DINT":
            writer.block(_TRUNCATE, {"x": given, "o": to}, operations=1)
        else:
            writer.line(f"{to} := {source}_TO_{target}({given});", operations=1)


_TRUNCATE: Final = """
IF $x >= 2147483647.0 THEN
    $o := 2147483647;
ELSIF $x <= -2147483648.0 THEN
    $o := -2147483648;
ELSIF $x = $x THEN
    $o := TRUNC($x);
ELSE
    $o := 0;
END_IF;
"""
"""Toward zero; what does not fit is cut to DINT's limits, NaN is 0."""


# --- products -----------------------------------------------------------------------------------------------------------


@kernel("pack")
def _pack(call: Call, writer: Writer) -> None:
    """The right side of a product, if it is constant: packed now."""
    record = call.record
    b = writer.known_value(record.b)
    if b is None or record.batch != 1:
        raise Refusal("a product of two matrices that are both computed is not inlined", "keep the weights constant")
    shape, strides = (record.depth, record.columns), (record.b_row * b.itemsize, record.b_column * b.itemsize)
    matrix = np.lib.stride_tricks.as_strided(np.ascontiguousarray(b).reshape(-1), shape, strides)
    writer.known[record.packed.storage] = pack(np.ascontiguousarray(matrix))


@kernel("gemm")
def _gemm(call: Call, writer: Writer) -> None:
    """c = clip(bias + a @ b)."""
    record = call.record
    weights, biases = writer.known_value(record.b), writer.known_value(record.bias)
    if weights is None or biases is None or record.batch != 1:
        raise Refusal("a product of two matrices that are both computed is not inlined", "keep the weights constant")
    w = _unpacked(weights.reshape(-1), record.depth, record.columns, int(record.panel) or MATRIX_PANEL)
    _product(call, writer, w, biases, (record.a_row, record.out_row))


@kernel("sparse")
def _sparse(call: Call, writer: Writer) -> None:
    """The same; the weights are written with their zeros."""
    record = call.record
    weights, places, biases = (writer.known_value(x) for x in (record.b, record.places, record.bias))
    assert weights is not None and places is not None and biases is not None
    shape = record.depth, record.columns
    _product(call, writer, unpack_blocks(weights, places, shape, record.splits), biases, shape)


def _product(call: Call, writer: Writer, of: NDArray[Any], biases: NDArray[Any], strides: tuple[int, int]) -> None:
    """clip(biases + a @ of), for rows of a and of the output at `strides`."""
    record, (k, n), (a_row, out_row) = call.record, of.shape, strides
    a, w = record.a, writer.constant(np.ascontiguousarray(of.T), record.b.name)
    b = biases.reshape(-1)[:n].copy()
    starts = writer.constant(b, record.bias.name) if n > 1 and b.any() else ""
    v = writer.value("v", a.dtype)
    with writer.loop("r", record.rows) as r, writer.loop("i", n) as i:
        writer.line(f"{v} := {f'{starts}[{i}]' if starts else writer.literal(b[0], b.dtype)};")
        with writer.loop("j", k) as j:
            given = writer.element(a, place((r, a_row), (j, 1)))
            writer.line(f"{v} := {v} + {w}[{place((i, k), (j, 1))}] * {given};", multiply_adds=1)
        for sign, limit in (("<", record.low), (">", record.high)):
            if isfinite(limit):
                literal = writer.literal(np.asarray(limit, a.dtype)[()], a.dtype)
                writer.block(f"IF {v} {sign} {literal} THEN\n    {v} := {literal};\nEND_IF;", {}, operations=1)
        writer.line(f"{writer.element(record.out, place((r, out_row), (i, 1)))} := {v};")


def _unpacked(packed: NDArray[Any], k: int, n: int, panel: int) -> NDArray[Any]:
    """[k, n] of `rt_engine.ops.linear.pack`."""
    columns, step = packed_columns(n, packed.dtype), panel * lanes(packed.dtype)
    panels, at = [], 0
    for first in range(0, columns, step):
        width = min(step, columns - first)
        panels.append(packed[at : at + k * width].reshape(k, width))
        at += k * width
    return np.concatenate(panels, axis=1)[:, :n]


# --- folds --------------------------------------------------------------------------------------------------------------

_FOLDS: Final = {
    "reduce_sum": ("0.0", "$v := $v + $x;", ""),
    "reduce_mean": ("0.0", "$v := $v + $x;", "$v := $v / $n;"),
    "reduce_prod": ("1.0", "$v := $v * $x;", ""),
    "reduce_l1": ("0.0", "$v := $v + ABS($x);", ""),
    "reduce_l2": ("0.0", "$v := $v + $x * $x;", "$v := SQRT($v);"),
    "reduce_sum_square": ("0.0", "$v := $v + $x * $x;", ""),
    "reduce_max": ("", "IF $x > $v OR $x <> $x THEN\n    $v := $x;\nEND_IF;", ""),
    "reduce_min": ("", "IF $x < $v OR $x <> $x THEN\n    $v := $x;\nEND_IF;", ""),
}
"""Kernel -> (start, or the first element; step; end)."""


@kernel(*_FOLDS)
def _reduce(call: Call, writer: Writer) -> None:
    record = call.record
    x, out, outer, count, inner = record.x, record.out, record.outer, record.count, record.inner
    start, step, end = _FOLDS[_SUFFIX.sub("", call.kernel)]
    v = writer.value("v", x.dtype)
    names = {"v": v, "n": number(count, x.dtype)}
    with writer.loop("r", outer) as r, writer.loop("i", inner) as i:
        first = writer.element(x, place((r, count * inner), (i, 1)))
        writer.line(f"{v} := {start or first};")
        with writer.loop("j", count) as j:
            given = writer.element(x, place((r, count * inner), (j, inner), (i, 1)))
            writer.block(step, {**names, "x": given}, operations=1)
        if end:
            writer.block(end, names, functions=int("SQRT" in end))
        writer.line(f"{writer.element(out, place((r, inner), (i, 1)))} := {v};")


@kernel("reduce_log_sum_exp")
def _log_sum_exp(call: Call, writer: Writer) -> None:
    """log of the sum of exp(x - m), plus m: the largest element, or 0 where that is not finite."""
    record = call.record
    x, out, outer, count, inner = record.x, record.out, record.outer, record.count, record.inner
    v, m = writer.value("v", x.dtype), writer.value("a", x.dtype)
    largest = writer.literal(np.finfo(x.dtype).max, x.dtype)
    with writer.loop("r", outer) as r, writer.loop("i", inner) as i:
        start = (r, count * inner)
        writer.line(f"{m} := {writer.element(x, place(start, (i, 1)))};")
        with writer.loop("j", count) as j:
            given = writer.element(x, place(start, (j, inner), (i, 1)))
            writer.block(f"IF {given} > {m} THEN\n    {m} := {given};\nEND_IF;", {}, operations=1)
        writer.block(f"IF NOT (ABS({m}) <= {largest}) THEN\n    {m} := 0.0;\nEND_IF;", {})
        writer.line(f"{v} := 0.0;")
        with writer.loop("j", count) as j:
            given = writer.element(x, place(start, (j, inner), (i, 1)))
            writer.line(f"{v} := {v} + EXP({given} - {m});", functions=1)
        writer.line(f"{writer.element(out, place((r, inner), (i, 1)))} := LN({v}) + {m};", functions=1)


@kernel("argmax", "argmin")
def _arg(call: Call, writer: Writer) -> None:
    """Index of the largest or smallest; NaN counts as such."""
    record = call.record
    x, out, outer, count, inner = record.x, record.out, record.outer, record.count, record.inner
    if record.last:
        raise Refusal("select_last_index is not inlined", "export it with select_last_index = 0")
    sign = ">" if call.kernel.startswith("argmax") else "<"
    v, n = writer.value("v", x.dtype), writer.local("n", "DINT")
    writer.bounded[out.storage] = count
    with writer.loop("r", outer) as r, writer.loop("i", inner) as i:
        writer.line(f"{n} := 0;")
        writer.line(f"{v} := {writer.element(x, place((r, count * inner), (i, 1)))};")
        with writer.loop("j", count) as j:
            given = writer.element(x, place((r, count * inner), (j, inner), (i, 1)))
            test = f"{given} {sign} {v} OR ({given} <> {given} AND {v} = {v})"
            writer.block(f"IF {test} THEN\n    {n} := {j};\n    {v} := {given};\nEND_IF;", {}, operations=1)
        writer.line(f"{writer.element(out, place((r, inner), (i, 1)))} := {n};")


@kernel("softmax", "log_softmax")
def _softmax(call: Call, writer: Writer) -> None:
    record = call.record
    x, out, rows, n = record.x, record.out, record.rows, record.n
    v, total = writer.value("v", x.dtype), writer.value("a", x.dtype)
    logarithm = call.kernel.startswith("log")
    with writer.loop("r", rows) as r:
        writer.line(f"{v} := {writer.element(x, place((r, n)))};")
        with writer.loop("i", n) as i:
            given = writer.element(x, place((r, n), (i, 1)))
            writer.block(f"IF {given} > {v} THEN\n    {v} := {given};\nEND_IF;", {}, operations=1)
        writer.line(f"{total} := 0.0;")
        with writer.loop("i", n) as i:
            given, to = (writer.element(b, place((r, n), (i, 1))) for b in (x, out))
            if logarithm:
                writer.line(f"{to} := {given} - {v};", operations=1)
                writer.line(f"{total} := {total} + EXP({to});", functions=1)
            else:
                writer.line(f"{to} := EXP({given} - {v});", functions=1)
                writer.line(f"{total} := {total} + {to};", operations=1)
        if logarithm:
            writer.line(f"{total} := LN({total});", functions=1)
        with writer.loop("i", n) as i:
            to = writer.element(out, place((r, n), (i, 1)))
            writer.line(f"{to} := {to} {'-' if logarithm else '/'} {total};", operations=1)


@kernel("layer_norm")
def _layer_norm(call: Call, writer: Writer) -> None:
    """d * (1 / sqrt(mean of d * d + epsilon)) * scale + bias."""
    record = call.record
    x, out, rows, n = record.x, record.out, record.rows, record.n
    if record.mean is not None or record.deviation is not None:
        raise Refusal("mean and deviation as outputs are not inlined", "leave these outputs out")
    mean, v = writer.value("a", x.dtype), writer.value("v", x.dtype)
    count = number(n, x.dtype)
    epsilon = writer.literal(np.asarray(record.epsilon, x.dtype)[()], x.dtype)
    with writer.loop("r", rows) as r:
        writer.line(f"{mean} := 0.0;")
        if not record.about_zero:
            with writer.loop("i", n) as i:
                given = writer.element(x, place((r, n), (i, 1)))
                writer.line(f"{mean} := {mean} + {given};", operations=1)
            writer.line(f"{mean} := {mean} / {count};", operations=1)
        writer.line(f"{v} := 0.0;")
        with writer.loop("i", n) as i:
            given = writer.element(x, place((r, n), (i, 1)))
            writer.line(f"{v} := {v} + ({given} - {mean}) * ({given} - {mean});", operations=1)
        writer.line(f"{v} := 1.0 / SQRT({v} / {count} + {epsilon});", functions=1)
        with writer.loop("i", n) as i:
            given, to = (writer.element(b, place((r, n), (i, 1))) for b in (x, out))
            scale, bias = writer.element(record.scale, i), writer.element(record.bias, i)
            text = f"({given} - {mean}) * {v} * {scale} + {bias}"
            writer.line(f"{to} := {text};", operations=1)


# --- moves --------------------------------------------------------------------------------------------------------------


@kernel("copy_blocks")
def _copy_blocks(call: Call, writer: Writer) -> None:
    record, size = call.record, call.record.out.dtype.itemsize
    names = ("nbytes", "x_stride", "out_stride", "x_first", "out_first")
    whole = {name: getattr(record, name) // size for name in names}
    if record.x.dtype != record.out.dtype or any(getattr(record, name) % size for name in names):
        raise Refusal("it looks at the bytes of numbers", "call the model through a server")
    with writer.loop("r", record.count) as r, writer.loop("i", whole["nbytes"]) as i:
        given = writer.element(record.x, place((r, whole["x_stride"]), (i, 1), whole["x_first"]))
        to = writer.element(record.out, place((r, whole["out_stride"]), (i, 1), whole["out_first"]))
        writer.line(f"{to} := {given};", operations=1)


@kernel("copy_strided")
def _copy_strided(call: Call, writer: Writer) -> None:
    x, out = call.record.x, call.record.out
    known = writer.known_value(call.record.table)
    assert known is not None and x.dtype == out.dtype
    given, to = [call.record.x_first], [call.record.out_first]

    def nest(level: int, rows: list[list[int]], sources: list[tuple[str, int]], targets: list[tuple[str, int]]) -> None:
        if level == len(rows):
            source = writer.element(x, place(*sources, *given))
            writer.line(f"{writer.element(out, place(*targets, *to))} := {source};", operations=1)
            return
        count, in_stride, out_stride = rows[level]
        with writer.loop(f"i{level}", count) as i:
            nest(level + 1, rows, [*sources, (i, in_stride)], [*targets, (i, out_stride)])

    nest(0, [[int(v) for v in row] for row in known.reshape(-1, 3)], [], [])


@kernel("gather_blocks", "gather_blocks_checked")
def _gather(call: Call, writer: Writer) -> None:
    """Blocks chosen by constant indices, or by the result of a search, which is in range."""
    record = call.record
    data, index, out, axis, count = record.data, record.index, record.out, record.axis, record.count
    known, n = writer.known_value(index), record.nbytes // data.dtype.itemsize
    if known is None and writer.bounded.get(index.storage, axis + 1) > axis:
        raise Refusal("an index that comes from outside is not inlined", "choose the element in the PLC")
    places = known.reshape(-1) % axis if known is not None else None
    at = str(int(places[0])) if places is not None and count == 1 else writer.local("n", "DINT")
    with writer.loop("r", record.outer) as r, writer.loop("j", count) as j:
        if places is None:
            writer.line(f"{at} := {writer.element(index, j)};")
        elif count > 1:
            writer.line(f"{at} := {writer.constant(places)}[{j}];")
        with writer.loop("i", n) as i:
            given = writer.element(data, place((r, axis * n), (at, n), (i, 1)))
            to = writer.element(out, place((r, count * n), (j, n), (i, 1)))
            writer.line(f"{to} := {given};", operations=1)


@kernel("label")
def _label(call: Call, writer: Writer) -> None:
    """From scores to a label; from one score to two."""
    record = call.record
    scores, columns = record.scores, record.columns
    labels = writer.known_value(record.classes)
    assert labels is not None
    n, v = writer.local("n", "DINT"), writer.value("v", scores.dtype)
    counted = np.array_equal(labels.reshape(-1), np.arange(labels.size))
    with writer.loop("r", record.rows) as r:
        writer.line(f"{n} := 0;")
        writer.line(f"{v} := {writer.element(scores, place((r, columns)))};")
        if columns > 1:
            with writer.loop("i", columns) as i:
                given = writer.element(scores, place((r, columns), (i, 1)))
                writer.block(f"IF {given} > {v} THEN\n    {n} := {i};\n    {v} := {given};\nEND_IF;", {}, operations=1)
        else:
            limit = writer.literal(np.asarray(record.threshold, scores.dtype)[()], scores.dtype)
            writer.block(f"IF {v} > {limit} THEN\n    {n} := 1;\nEND_IF;", {}, operations=1)
        writer.line(f"{writer.element(record.label, r)} := {n if counted else f'{writer.constant(labels)}[{n}]'};")
        if record.how:
            other = {1: f"1.0 - {v}", 2: f"-{v}", 3: "0.0"}[record.how]
            writer.line(f"{writer.element(record.pair, place((r, 2)))} := {other};", operations=1)
            writer.line(f"{writer.element(record.pair, place((r, 2), 1))} := {v};")
