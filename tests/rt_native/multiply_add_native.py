"""Multiply-add of arrays, as a program's kernels do it: denormals are zero."""

from rt_native.lang import export, flush_denormals, restore_float_mode
from rt_native.vector import (
    BYTES,
    fma,
    fma_once,
    load_f32x,
    load_f64x,
    store_f32x,
    store_f64x,
)


def _make(name, function, load, store):
    def over(a, b, c, out, vectors):
        mode = flush_denormals()
        for i in range(vectors):
            at = i * BYTES
            store(out + at, function(load(a + at), load(b + at), load(c + at)))
        restore_float_mode(mode)
        return 0

    export(over, name=name, module=__name__)


_make("fma_f32", fma, load_f32x, store_f32x)
_make("fma_f64", fma, load_f64x, store_f64x)
_make("once_f32", fma_once, load_f32x, store_f32x)
_make("once_f64", fma_once, load_f64x, store_f64x)
