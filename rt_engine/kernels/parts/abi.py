"""How a kernel reads its record. A kernel is `int64 k_name(int64 arena, int64 record)`; it gives a status, 0 when good."""

from collections.abc import Callable
from typing import Any

from rt_engine.kernels.interface.abi import KERNEL_PREFIX
from rt_engine.program.records import RECORD
from rt_native.lang import export, inline, load_f64, load_i64
from rt_native.memory import offsets

_R = offsets(RECORD)
_OPERAND, _SIZE, _PARAM = _R.operand, _R.size, _R.param


def kernel(name: str, module: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function as the kernel `name`; records refer to it by this name."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        return export(function, name=KERNEL_PREFIX + name, module=module)

    return register


@inline
def operand(arena, record, index):
    """Address of an operand: in the arena, or (lowest bit set) in the weights, whose address the arena's header holds."""
    where = load_i64(record + _OPERAND + 8 * index)
    if where & 1:
        return load_i64(arena) + where - 1
    return arena + where


@inline
def has_operand(record, index):
    """Is there such an operand? An optional one that is absent is -1."""
    return load_i64(record + _OPERAND + 8 * index) != -1


@inline
def size(record, index):
    """An integer of the record: a count, a stride, a code."""
    return load_i64(record + _SIZE + 8 * index)


@inline
def param(record, index):
    """A float64 of the record: a limit, a slope, an epsilon."""
    return load_f64(record + _PARAM + 8 * index)
