"""Layer normalisation with what stands before it: residual sums, embeddings."""

import numpy as np
import onnx_ir as ir

from rt_engine.passes.microsoft.writer import Rewriting, Values, Writer, shape_of


def _normalised(
    w: Writer, x: ir.Value, scale: ir.Value, bias: ir.Value | None, default: float, rms: bool
) -> list[ir.Value]:
    """(result, mean, inverse deviation)."""
    given = {"epsilon": w.number("epsilon", default), "axis": w.integer("axis", -1)}
    rows = [scale] if bias is None or rms else [scale, bias]
    made = w.own("RMSNormalization" if rms else "LayerNormalization", x, *rows, outputs=3, **given)
    for i, value in enumerate(made[1:], 1):
        if not w.wants(i):
            value.name = ""
    return list(made)


def _layer(w: Writer) -> Values:
    return [*_normalised(w, w.input(0), w.input(1), w.optional(2), 1e-5, rms=False)]


def _simplified(w: Writer) -> Values:
    """Its second output is the inverse deviation: there is no mean."""
    w.require(not w.wants(1), "its inverse deviation is read")
    return [_normalised(w, w.input(0), w.input(1), None, 1e-5, rms=True)[0]]


def _skip(w: Writer) -> Values:
    """(x + skip + bias) normalised; the sum is the fourth output."""
    return _of_sum(w, w.optional(3), w.optional(4), rms=False)


def _skip_simplified(w: Writer) -> Values:
    return _of_sum(w, None, w.optional(3), rms=True)


def _of_sum(w: Writer, beta: ir.Value | None, bias: ir.Value | None, rms: bool) -> Values:
    total = w.op("Add", w.input(0), w.input(1))
    total = total if bias is None else w.op("Add", total, bias)
    return [*_normalised(w, total, w.input(2), beta, 1e-12, rms), total]


def _embed(w: Writer) -> Values:
    """Word, position and segment embeddings, summed and normalised; how many tokens each row has; the sum."""
    tables = [w.input(2), w.input(3), w.optional(4)]
    return _embedded(w, tables, w.input(5), w.input(6), w.optional(7), w.optional(8))


def _embed_quantised(w: Writer) -> Values:
    """The tables, gamma and beta are bytes with a scale and a zero point each."""
    real = [
        None if w.optional(2 + i) is None else w.real(w.input(2 + i), w.input(8 + i), w.optional(13 + i))
        for i in range(5)
    ]
    gamma, beta = real[3], real[4]
    assert real[0] is not None and real[1] is not None and gamma is not None and beta is not None
    return _embedded(w, [real[0], real[1], real[2]], gamma, beta, w.optional(7), None)


def _embedded(
    w: Writer, tables: Values, gamma: ir.Value, beta: ir.Value, mask: ir.Value | None, positions: ir.Value | None
) -> Values:
    ids, segments = w.input(0), w.optional(1)
    rows, length = shape_of(ids)
    words, places, kinds = tables
    assert words is not None and places is not None
    at = w.slice(places, 0, 0, length) if positions is None else w.op("Gather", places, positions)
    total = w.op("Add", w.op("Gather", words, ids), at)
    if segments is not None and kinds is not None:
        total = w.op("Add", total, w.op("Gather", kinds, segments))
    made = _normalised(w, total, gamma, beta, 1e-12, rms=False)
    index: ir.Value | None = None
    if w.wants(1):
        none = w.constant(np.zeros(rows, np.int32))
        index = none if mask is None else w.reduced("ReduceSum", mask, [1], 0, since=13)
    return [made[0], index, total]


TABLE: dict[str, Rewriting] = {
    "EmbedLayerNormalization": _embed,
    "LayerNormalization": _layer,
    "QEmbedLayerNormalization": _embed_quantised,
    "SimplifiedLayerNormalization": _simplified,
    "SkipLayerNormalization": _skip,
    "SkipSimplifiedLayerNormalization": _skip_simplified,
}
