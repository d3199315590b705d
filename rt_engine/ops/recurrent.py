"""LSTM, GRU and RNN: one matrix product for the inputs of all steps, then one record per direction.

https://onnx.ai/onnx/operators/onnx__LSTM.html, onnx__GRU.html, onnx__RNN.html. Memory and order of the gates are drawn in
`rt_engine.kernels.recurrent`; here weights are put into that order, when the model is loaded if they are constants, else by
copy records.
"""

from dataclasses import dataclass
from math import inf, prod
from typing import Any

import numpy as np

from rt_engine.kernels.interface.cells import CELL_ACTIVATIONS, CELL_FLAGS, WORK
from rt_engine.kernels.interface.dtypes import SUFFIX
from rt_engine.kernels.interface.elementwise import BROADCAST, flat
from rt_engine.kernels.interface.gemm import PACK
from rt_engine.kernels.interface.recurrent import CELL
from rt_engine.kernels.interface.strides import contiguous
from rt_engine.ops.base import FLOATS, Node, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.linear import lanes, packed_columns, product, product_by
from rt_engine.ops.moves import reshaped, strided_copy
from rt_engine.ops.steps_read import steps_read
from rt_engine.program.calls import Buffer

_WITH_ALPHA = ("Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh", "HardSigmoid", "Elu")
_WITH_BETA = ("Affine", "ScaledTanh", "HardSigmoid")
_NO_ACTIVATIONS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}


@dataclass(frozen=True, slots=True)
class Cell:
    """What one node asks for, checked."""

    kind: str
    steps: int
    batch: int
    features: int
    hidden: int
    directions: int
    reverse: bool
    layout: int
    dtype: np.dtype[Any]
    linear_first: bool
    coupled: bool
    clip: float
    activations: tuple[tuple[tuple[int, float, float], ...], ...]
    """Per direction: (number, alpha, beta) of f, g and h."""

    @property
    def gates(self) -> int:
        """Gates in ONNX's weights."""
        return {"LSTM": 4, "GRU": 3, "RNN": 1}[self.kind]

    @property
    def slots(self) -> tuple[int, ...]:
        """The slot of each gate in a block of input gates."""
        return {"LSTM": (0, 1, 2, 3), "GRU": (0, 1, 3), "RNN": (0,)}[self.kind]

    @property
    def width(self) -> int:
        """Slots of a block of input gates."""
        return 1 if self.kind == "RNN" else 4

    @property
    def blocks(self) -> int:
        """Blocks of hidden units."""
        return -(-self.hidden // lanes(self.dtype))

    @property
    def columns(self) -> int:
        """Input gates of one step."""
        return self.blocks * self.width * lanes(self.dtype)

    def is_default(self, direction: int, peepholes: bool) -> bool:
        """Is there a kernel for just this?"""
        names = [list(CELL_ACTIVATIONS)[number] for number, _, _ in self.activations[direction]]
        plain = names == list(_NO_ACTIVATIONS[self.kind]) and self.clip == inf and not self.coupled and not peepholes
        single = self.dtype == np.float32
        return plain and single and (self.kind == "LSTM" or (self.kind == "GRU" and self.linear_first))


@operator("LSTM", "GRU", "RNN", since=7)
def recurrent(node: Node, build: Builder) -> None:
    """All attributes of the three operators."""
    cell = _read(node)
    w, r, bias, lengths = node.input(1), node.input(2), node.optional(3), node.optional(4)
    peepholes = node.optional(7) if cell.kind == "LSTM" else None
    _check(node, cell, w, r, bias, lengths, peepholes)
    y, h, c = (_wanted(node, i) for i in range(3))
    if cell.steps == 0 or cell.batch == 0:
        node.require(False, "an empty sequence", "give it at least one step and one row")
    state = (
        (cell.directions, cell.batch, cell.hidden) if not cell.layout else (cell.batch, cell.directions, cell.hidden)
    )
    h, read_h = _state(node, build, 5, h, cell, state)
    c, read_c = _state(node, build, 6, c, cell, state) if cell.kind == "LSTM" else (None, False)
    if lengths is not None and lengths.value is not None and bool((lengths.value == cell.steps).all()):
        lengths = None
    flags = CELL_FLAGS["read_h"] * read_h | CELL_FLAGS["read_c"] * read_c
    done = _steps_done(node, cell, lengths)
    if y is not None and min(done) < cell.steps:
        y = Buffer("", y.dtype, y.shape, y.storage)  # not what the model calls it: parts of it are never written
    for direction in range(cell.directions):
        work = _input_gates(build, cell, node.x, w, bias, direction)
        fast = cell.is_default(direction, peepholes is not None)
        weights = _weights(build, cell, r, None if fast else peepholes, direction, fast)
        reverse = cell.reverse or direction == 1
        record = CELL(
            gates=work, weights=weights, h=h, c=c, out=y, lengths=lengths, steps=cell.steps, batch=cell.batch,
            hidden=cell.hidden, directions=cell.directions, direction=direction, reverse=reverse, layout=cell.layout,
            flags=flags if fast else flags | _flags(cell, peepholes is not None),
            activations=0 if fast else sum(a[0] << (8 * i) for i, a in enumerate(cell.activations[direction])),
            wanted=done[reverse],
        )  # fmt: skip
        macs = done[reverse] * cell.batch * cell.hidden * cell.hidden * cell.gates
        build.call(f"{cell.kind.lower() if fast else 'cell'}_{SUFFIX[cell.dtype]}", record, macs=macs)


def _steps_done(node: Node, cell: Cell, lengths: Buffer | None) -> tuple[int, int]:
    """How many steps must be done forwards, and backwards: up to the last one that anybody reads."""
    outputs = node.ir.outputs
    read = [v for v in outputs[1:] if v.name and (v.uses() or v.is_graph_output())]
    if lengths is not None or read or _wanted(node, 0) is None:
        return cell.steps, cell.steps
    first, last = steps_read(outputs[0], cell.layout)
    return last + 1, cell.steps - first


def _flags(cell: Cell, peepholes: bool) -> int:
    present = {
        "gru": cell.kind == "GRU",
        "rnn": cell.kind == "RNN",
        "linear_before_reset": cell.linear_first,
        "peepholes": peepholes,
        "input_forget": cell.coupled,
    }
    return sum(CELL_FLAGS[name] for name, is_set in present.items() if is_set)


# --- what the node asks for ------------------------------------------------------------------------------------------


def _read(node: Node) -> Cell:
    x, w, r = node.x, node.input(1), node.input(2)
    node.require_type(x, FLOATS)
    node.require(len(x.shape) == 3 and len(w.shape) == 3 and len(r.shape) == 3, "X, W and R must have three dimensions")
    layout = int(node.attr("layout", 0))
    node.require(layout in (0, 1), f"layout {layout} is not 0 or 1")
    steps, batch, features = x.shape if layout == 0 else (x.shape[1], x.shape[0], x.shape[2])
    direction = _text(node.attr("direction", "forward"))
    node.require(direction in ("forward", "reverse", "bidirectional"), f"direction '{direction}' is unknown")
    directions = 2 if direction == "bidirectional" else 1
    hidden = r.shape[2]
    given = node.attr("hidden_size")
    node.require(given is None or int(given) == hidden, f"hidden_size is {given}, the weights have {hidden}")
    kind, clip = node.op_type, float(node.attr("clip") or inf)
    node.require(clip > 0.0, f"clip {clip} is not positive")
    return Cell(
        kind,
        steps,
        batch,
        features,
        hidden,
        directions,
        direction == "reverse",
        layout,
        x.dtype,
        kind == "GRU" and bool(node.attr("linear_before_reset", 0)),
        kind == "LSTM" and bool(node.attr("input_forget", 0)),
        clip,
        _activations(node, kind, directions),
    )


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _activations(node: Node, kind: str, directions: int) -> tuple[tuple[tuple[int, float, float], ...], ...]:
    """alpha and beta are consumed, in order, by the functions that have them; what is left out has its default."""
    default = _NO_ACTIVATIONS[kind]
    names = [_text(name) for name in node.attr("activations") or default * directions]
    node.require(
        len(names) == len(default) * directions, f"{len(names)} activations; there must be {len(default)} each"
    )
    known = {name.lower(): name for name in CELL_ACTIVATIONS}
    unknown = [name for name in names if name.lower() not in known]
    node.require(not unknown, f"the activations {unknown} are unknown", f"use one of {', '.join(CELL_ACTIVATIONS)}")
    alphas, betas = list(node.attr("activation_alpha") or ()), list(node.attr("activation_beta") or ())
    found = []
    for name in (known[n.lower()] for n in names):
        alpha, beta = (float(np.float32(v)) for v in CELL_ACTIVATIONS[name])
        alpha = float(alphas.pop(0)) if name in _WITH_ALPHA and alphas else alpha
        beta = float(betas.pop(0)) if name in _WITH_BETA and betas else beta
        found.append((list(CELL_ACTIVATIONS).index(name), alpha, beta))
    return tuple(tuple(found[i : i + len(default)]) for i in range(0, len(found), len(default)))


def _check(
    node: Node, cell: Cell, w: Buffer, r: Buffer, bias: Buffer | None, lengths: Buffer | None, peepholes: Buffer | None
) -> None:
    d, g, n = cell.directions, cell.gates, cell.hidden
    expected = (
        ("W", w, (d, g * n, cell.features)),
        ("R", r, (d, g * n, n)),
        ("B", bias, (d, 2 * g * n)),
        ("P", peepholes, (d, 3 * n)),
        ("sequence_lens", lengths, (cell.batch,)),
    )
    for name, buffer, shape in expected:
        if buffer is not None:
            node.require(
                buffer.shape == shape, f"{name} has the shape {list(buffer.shape)}, {list(shape)} fits X and R"
            )
            allowed = (np.dtype(np.int32),) if buffer is lengths else (cell.dtype,)
            node.require_type(buffer, allowed)
    node.require(n > 0 and cell.features > 0, "no hidden unit or no feature")


def _wanted(node: Node, index: int) -> Buffer | None:
    """An output that somebody reads."""
    if index >= len(node.ir.outputs):
        return None
    value = node.ir.outputs[index]
    return node.outputs[index] if value.name and (value.uses() or value.is_graph_output()) else None


def _state(
    node: Node, build: Builder, index: int, out: Buffer | None, cell: Cell, shape: tuple[int, ...]
) -> tuple[Buffer, bool]:
    """A state that the kernel reads and writes: (the output or memory in its place, is there a given start)."""
    state = out or build.temporary(cell.dtype, shape)
    start = node.optional(index)
    if start is None:
        return state, False
    node.require(start.shape == shape, f"an initial state has the shape {list(start.shape)}, not {list(shape)}")
    node.require_type(start, (cell.dtype,))
    if start.value is not None and not start.value.any():
        return state, False
    build.copy(state, start)
    return state, True


# --- weights in the kernel's order -----------------------------------------------------------------------------------


def _scatter(
    build: Builder,
    cell: Cell,
    source: Buffer,
    first: int,
    target: Buffer,
    strides: tuple[int, int, int],
    out_first: int,
) -> None:
    """Copy one gate, [hidden, columns] from element `first` on, to target[block * s0 + lane * s1 + column * s2]."""
    columns, width = source.shape[-1], lanes(cell.dtype)
    whole, rest = divmod(cell.hidden, width)
    for blocks, inside, done in ((whole, width, 0), (1, rest, whole)):
        if blocks and inside:
            strided_copy(
                build,
                source,
                target,
                (blocks, inside, columns),
                (width * columns, columns, 1),
                strides,
                first + done * width * columns,
                out_first + done * strides[0],
            )


def _placed(
    build: Builder, cell: Cell, source: Buffer, parts: tuple[tuple[int, int], ...], size: int,
    strides: tuple[int, int, int], step: int,
) -> Buffer:  # fmt: skip
    """Gates of `source` [gates, hidden, columns] where the kernel wants them: `parts` is (gate, slot), a slot is `step` wide."""
    columns = source.shape[-1]
    if source.value is not None:
        width, target = lanes(cell.dtype), np.zeros(size, cell.dtype)
        unit = np.arange(cell.hidden)
        rows = unit // width * strides[0] + unit % width * strides[1]
        for gate, slot in parts:
            places = rows[:, None] + np.arange(columns)[None, :] * strides[2] + slot * step
            target[places] = source.value.reshape(-1, cell.hidden, columns)[gate]
        return build.constant(target)
    result = build.temporary(cell.dtype, (size,))
    build.fill(result)
    for gate, slot in parts:
        _scatter(build, cell, source, gate * cell.hidden * columns, result, strides, slot * step)
    return result


def _of_direction(build: Builder, x: Buffer, direction: int) -> Buffer:
    """One direction of a parameter, as a buffer of its own."""
    if x.value is not None:
        return build.constant(x.value[direction])
    if x.shape[0] == 1:
        return reshaped(build, x, x.shape[1:])
    part = build.temporary(x.dtype, x.shape[1:])
    strided_copy(build, x, part, (part.size,), (1,), None, direction * part.size)
    return part


def _input_gates(build: Builder, cell: Cell, x: Buffer, w: Buffer, bias: Buffer | None, direction: int) -> Buffer:
    """x @ W + b for all steps, and room for the kernel's work behind it."""
    width, columns, rows = lanes(cell.dtype), cell.columns, cell.steps * cell.batch
    w = reshaped(build, _of_direction(build, w, direction), (cell.gates, cell.hidden, cell.features))
    parts = tuple(enumerate(cell.slots))
    matrix = _placed(build, cell, w, parts, cell.features * columns, (cell.width * width, 1, columns), width)
    assert packed_columns(columns, cell.dtype) == columns
    work = build.temporary(cell.dtype, (rows * columns + WORK * cell.blocks * width,))
    out, bias = Buffer("", cell.dtype, (rows, columns), work.storage), _bias(build, cell, bias, direction)
    if matrix.value is not None:
        product_by(build, x, matrix.value.reshape(cell.features, columns), bias, out)
        return work
    packed = build.temporary(cell.dtype, matrix.shape)
    record = PACK(
        b=matrix, packed=packed, depth=cell.features, columns=columns, b_row=columns, b_column=1,
        batch=1, b_batch=0, packed_batch=0,
    )  # fmt: skip
    build.call(f"pack_{SUFFIX[cell.dtype]}", record)
    product(build, x, packed, bias, out, (rows, cell.features, columns))
    return work


def _bias(build: Builder, cell: Cell, bias: Buffer | None, direction: int) -> Buffer:
    """W's and R's bias, added, in the order of the input gates; where R's belongs inside of the reset, apart."""
    if bias is None:
        return build.constant(np.zeros(cell.columns, cell.dtype))
    both = _of_direction(build, bias, direction)
    half, width = cell.gates * cell.hidden, lanes(cell.dtype)
    if both.value is not None:
        of_w, of_r = (both.value[i * half : (i + 1) * half] for i in (0, 1))
        total = build.constant(np.concatenate([of_w + of_r, of_w, of_r]).reshape(-1, 1))
    else:
        total = build.temporary(cell.dtype, (3 * half, 1))
        addend, added = (build.temporary(cell.dtype, (half,)) for _ in range(2))
        strided_copy(build, both, addend, (half,), (1,), None, half)
        build.call(f"add_{SUFFIX[cell.dtype]}", BROADCAST(x=both, y=addend, out=added, **flat(half)))
        strided_copy(build, added, total, (half,), (1,))
        strided_copy(build, both, total, (2 * half,), (1,), None, 0, half)
    parts = tuple(enumerate(cell.slots))
    if cell.linear_first:
        parts = ((0, 0), (1, 1), (3 + 2, 3), (6 + 2, 2))  # z and r: both; n: W's in its slot, R's before it
    return _placed(build, cell, total, parts, cell.columns, (cell.width * width, 1, 1), width)


def _weights(build: Builder, cell: Cell, r: Buffer, peepholes: Buffer | None, direction: int, fast: bool) -> Buffer:
    """R by block and k; for the general cell the peepholes and the settings after it."""
    width, hidden, every = lanes(cell.dtype), cell.hidden, cell.blocks * lanes(cell.dtype)
    r = reshaped(build, _of_direction(build, r, direction), (cell.gates, hidden, hidden))
    late = cell.kind == "GRU" and not cell.linear_first
    groups = (((0, 0), (1, 1)), ((2, 0),)) if late else (tuple((g, g) for g in range(cell.gates)),)
    pieces = []
    for group in groups:
        vectors = len(group)
        strides = (vectors * width * hidden, 1, vectors * width)
        pieces.append(_placed(build, cell, r, group, vectors * every * hidden, strides, width))
    if fast:
        return pieces[0]
    if peepholes is None:
        pieces.append(build.constant(np.zeros(3 * every, cell.dtype)))
    else:
        p = reshaped(build, _of_direction(build, peepholes, direction), (3, hidden, 1))
        pieces.append(_placed(build, cell, p, ((0, 0), (1, 1), (2, 2)), 3 * every, (width, 1, 1), every))
    settings = np.zeros(2 * width, cell.dtype)
    numbers = [cell.clip, *(value for _, alpha, beta in cell.activations[direction] for value in (alpha, beta))]
    settings[: len(numbers)] = numbers
    return _joined(build, cell, [*pieces, build.constant(settings)])


def _joined(build: Builder, cell: Cell, pieces: list[Buffer]) -> Buffer:
    """Buffers one after the other."""
    values = [piece.value for piece in pieces]
    if all(value is not None for value in values):
        return build.constant(np.concatenate([value for value in values if value is not None]))
    whole = build.temporary(cell.dtype, (sum(piece.size for piece in pieces),))
    at = 0
    for piece in pieces:
        strided_copy(build, piece, whole, (piece.size,), (1,), contiguous((piece.size,)), 0, at)
        at += piece.size
    assert at == prod(whole.shape)
    return whole
