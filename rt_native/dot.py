"""Sums of four products of bytes, with the instruction that the machine has; every way gives the same exact integers.

    acc[i] + a[4i] * w[4i] + ... + a[4i + 3] * w[4i + 3]        a: unsigned bytes, w: signed bytes, acc: int32 (wraps around)

    machine                  instructions per hardware vector
    AVX-512 VNNI, AVX-VNNI   vpdpbusd
    AVX2, AVX-512 BW         bytes to 16 bits (even and odd ones apart), two vpmaddwd, two additions
    Arm with i8mm            usdot
    Arm with dotprod         sdot of a - 128, plus 128 times the sum of w (another sdot)
    others                   shifts and 32-bit products

vpmaddubsw is not used: it saturates. The widened form costs more instructions, and is as exact as the others.
"""

import os
from typing import Any

from llvmlite import ir

from rt_native.vector import call_llvm

FEATURES = frozenset(f[1:] for f in os.environ.get("RT_NATIVE_FEATURES", "").split(",") if f.startswith("+"))
"""What the compiler may use, by LLVM's names; the build sets it for the whole process."""

_I8, _I16, _I32 = ir.IntType(8), ir.IntType(16), ir.IntType(32)


def dot_part(builder: Any, acc: Any, a: Any, w: Any) -> Any:
    """One hardware vector of the sum; all three are vectors of int32, `a` and `w` four bytes in each."""
    bits = 32 * acc.type.count
    if is_widened(builder, bits):
        return widened_part(builder, acc, a, widened_weights(builder, w))
    if builder.module.triple.startswith("x86_64"):
        return call_llvm(builder, f"llvm.x86.avx512.vpdpbusd.{bits}", acc.type, [acc, a, w])
    if builder.module.triple.startswith(("aarch64", "arm64")) and bits == 128:
        if "i8mm" in FEATURES:
            return _arm(builder, "usdot", acc, a, w)
        if "dotprod" in FEATURES:
            top, one = _splat(acc.type, 0x80808080), _splat(acc.type, 0x01010101)
            sums = _arm(builder, "sdot", _splat(acc.type, 0), one, w)
            total = _arm(builder, "sdot", acc, builder.xor(a, top), w)
            return builder.add(total, builder.shl(sums, _splat(acc.type, 7)))
    return _plain(builder, acc, a, w)


def _arm(builder: Any, name: str, acc: Any, a: Any, w: Any) -> Any:
    lanes = ir.VectorType(_I8, 16)
    operands = [acc, builder.bitcast(a, lanes), builder.bitcast(w, lanes)]
    return call_llvm(builder, f"llvm.aarch64.neon.{name}.v4i32.v16i8", acc.type, operands)


def _splat(vector: Any, value: int) -> Any:
    return ir.Constant(vector, [value] * vector.count)


def is_widened(builder: Any, bits: int) -> bool:
    """Are bytes widened to 16 bits here? Then weights that are used again may be widened once."""
    vnni = {"avx512vnni", "avx512vl"} <= FEATURES or ("avxvnni" in FEATURES and bits <= 256)
    return builder.module.triple.startswith("x86_64") and not vnni


def widened_weights(builder: Any, w: Any) -> list[Any]:
    """Even and odd bytes of a vector of int32, as 16 bits each."""
    halves = ir.VectorType(_I16, 2 * w.type.count)
    w, eight = builder.bitcast(w, halves), _splat(halves, 8)
    return [builder.ashr(builder.shl(w, eight), eight), builder.ashr(w, eight)]


def widened_part(builder: Any, acc: Any, a: Any, w: list[Any]) -> Any:
    """`dot_part` of what `widened_weights` gave."""
    return widened_dots(builder, acc, widened_bytes(builder, a), w)


def widened_bytes(builder: Any, a: Any) -> list[Any]:
    """Even and odd bytes, unsigned, as 16 bits each."""
    halves = ir.VectorType(_I16, 2 * a.type.count)
    a = builder.bitcast(a, halves)
    return [builder.and_(a, _splat(halves, 0xFF)), builder.lshr(a, _splat(halves, 8))]


def widened_dots(builder: Any, acc: Any, a: list[Any], w: list[Any]) -> Any:
    """`dot_part` of what `widened_bytes` and `widened_weights` gave."""
    name = {4: "llvm.x86.sse2.pmadd.wd", 8: "llvm.x86.avx2.pmadd.wd", 16: "llvm.x86.avx512.pmaddw.d.512"}[
        acc.type.count
    ]
    for factor, weight in zip(a, w, strict=True):
        acc = builder.add(acc, call_llvm(builder, name, acc.type, [factor, weight]))
    return acc


def _plain(builder: Any, acc: Any, a: Any, w: Any) -> Any:
    top = _splat(acc.type, 24)
    for byte in range(4):
        factor = builder.and_(builder.lshr(a, _splat(acc.type, 8 * byte)), _splat(acc.type, 0xFF))
        weight = builder.ashr(builder.shl(w, _splat(acc.type, 24 - 8 * byte)), top)
        acc = builder.add(acc, builder.mul(factor, weight))
    return acc
