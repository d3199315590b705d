"""Windows and mel filters, known when the model is loaded: https://onnx.ai/onnx/operators/onnx__HannWindow.html

Their inputs are constants, so they are folded, on our own kernels.
"""

from math import log, log1p

import numpy as np

from rt_engine.ops.base import Node, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.convert import converted
from rt_engine.ops.elementwise import broadcast
from rt_engine.ops.unary import unary

_COSINES = {
    "HannWindow": (0.5, -0.5),
    "HammingWindow": (25.0 / 46.0, -21.0 / 46.0),
    "BlackmanWindow": (0.42, -0.5, 0.08),
}
"""Window -> factors of cos(0), cos(t), cos(2 t), with t from 0 to one turn."""
_MOST = 1 << 24


@operator(*_COSINES, since=17)
def window(node: Node, build: Builder) -> None:
    """A sum of cosines over one period (periodic), or over one that ends where it began (symmetric)."""
    size = int(node.constant(0, "size").reshape(-1)[0])
    node.require(0 <= size <= _MOST, f"a window of {size}", f"the most is {_MOST:,}")
    if not size:
        return
    length = max(size if node.attr("periodic", 1) else size - 1, 1)
    first, *factors = _COSINES[node.op_type]
    total = build.constant(np.full(size, first))
    for k, factor in enumerate(factors, 1):
        angle = build.constant(np.arange(size) * k % length * (2 * np.pi / length))
        cosine, out = build.temporary(np.float64, (size,)), build.temporary(np.float64, (size,))
        unary(build, "cos", angle, cosine)
        broadcast(build, "scale_shift_f64", (cosine, build.constant(np.full((), factor)), total), out)
        total = out
    converted(build, total, node.y.dtype, node.y)


@operator("MelWeightMatrix", since=17)
def mel_weight_matrix(node: Node, build: Builder) -> None:
    """Triangular filters, equally spaced in mel, that a spectrum is multiplied with."""
    names = ("num_mel_bins", "dft_length", "sample_rate", "lower_edge_hertz", "upper_edge_hertz")
    bins, length, rate, low, high = (node.constant(i, name).reshape(-1)[0].item() for i, name in enumerate(names))
    spectrum = length // 2 + 1
    node.require(
        bins > 0 and length > 0 and bins * spectrum <= _MOST, f"{bins} filters of {length} points", "correct it"
    )
    node.require(rate > 0 and 0 <= low <= high, f"{low} to {high} Hz at {rate} samples per second", "correct them")
    from_hertz = [2595.0 * log1p(f / 700.0) / log(10.0) for f in (low, high)]
    mels = np.arange(bins + 2) * ((from_hertz[1] - from_hertz[0]) / (bins + 2)) + from_hertz[0]
    edges = ((length + 1) * (700.0 * np.expm1(mels / 2595.0 * np.log(10.0))) // rate).astype(np.int64)
    node.require(int(edges.max()) < spectrum, "a filter lies above half the sample rate", "lower upper_edge_hertz")
    out = np.zeros((spectrum, bins))
    for i in range(bins):
        left, centre, right = (int(e) for e in edges[i : i + 3])
        rising, falling = np.arange(left, centre + 1), np.arange(centre, right)
        out[rising, i] = (rising - left) / (centre - left) if centre > left else 1.0
        if right > centre:
            out[falling, i] = (right - falling) / (right - centre)
    converted(build, build.constant(out), node.y.dtype, node.y)
