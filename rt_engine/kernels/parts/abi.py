"""How a kernel reads its record, by the names of its `Fields`. It gives a status, 0 when good.

    @kernel("gemm_f32", GEMM)       ->    int64 k_gemm_f32(int64 arena, int64 record)
    def gemm(record): ...

    record.rows        a size, int64
    record.low         a param, float64
    record.a           the address of an operand: in the arena, or (lowest bit set) in the weights
    record.has_bias    whether an operand that may be absent (-1) is there

Each is a load, at a constant offset, each time that it is read; the arena's header holds the address of the weights.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing.templates import AttributeTemplate
from numba.extending import infer_getattr, lower_getattr_generic, models, register_model

from rt_engine.kernels.interface.abi import KERNEL_PREFIX
from rt_engine.kernels.interface.fields import Fields, Place
from rt_engine.kernels.interface.record import RECORD
from rt_native.lang import export
from rt_native.memory import offsets

_R = offsets(RECORD)
_START = {"operand": _R.operand, "size": _R.size, "param": _R.param}
_HAS = "has_"


class _RecordType(types.Type):
    """Arena and record of a kernel, two int64; its attributes are the fields."""

    def __init__(self, fields: Fields) -> None:
        self.fields = fields
        super().__init__(f"record of {fields.name}")

    @property
    def key(self) -> Fields:
        return self.fields

    def place(self, name: str) -> Place | None:
        """Where an attribute's value comes from."""
        asks = name.startswith(_HAS)
        place = self.fields.places.get(name.removeprefix(_HAS))
        return None if place is None or (asks and not (place.optional and place.kind == "operand")) else place


@register_model(_RecordType)
class _RecordModel(models.StructModel):
    def __init__(self, manager: Any, of: Any) -> None:
        super().__init__(manager, of, [("arena", types.int64), ("record", types.int64)])


@infer_getattr
class _RecordFields(AttributeTemplate):
    key = _RecordType

    def generic_resolve(self, of: Any, name: str) -> Any:  # type: ignore[override]
        place = of.place(name)
        if place is None:
            return None
        if name.startswith(_HAS):
            return types.boolean
        return types.float64 if place.kind == "param" else types.int64


@lower_getattr_generic(_RecordType)
def _field(context: Any, builder: Any, of: _RecordType, value: Any, name: str) -> Any:
    """The load of a field."""
    place = of.place(name)
    assert place is not None
    i64 = ir.IntType(64)

    def load(address: Any, kind: Any) -> Any:
        loaded = builder.load(builder.inttoptr(address, kind.as_pointer()), typ=kind)
        loaded.align = 8
        return loaded

    made = cgutils.create_struct_proxy(of)(context, builder, value=value)
    address = builder.add(made.record, i64(_START[place.kind] + 8 * place.index))
    if place.kind != "operand":
        return load(address, ir.DoubleType() if place.kind == "param" else i64)
    where = load(address, i64)
    if name.startswith(_HAS):
        return builder.icmp_signed("!=", where, i64(-1))
    with builder.if_else(builder.icmp_signed("!=", builder.and_(where, i64(1)), i64(0))) as (then, otherwise):
        with then:
            shared, from_weights = builder.sub(builder.add(load(made.arena, i64), where), i64(1)), builder.block
        with otherwise:
            private, from_arena = builder.add(made.arena, where), builder.block
    found = builder.phi(i64)
    found.add_incoming(shared, from_weights)
    found.add_incoming(private, from_arena)
    return found


def kernel(name: str, fields: Fields, module: str | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function of a record as the kernel `name`; programs refer to it by this name.

    `module` is for a function that another module makes; it defaults to the function's own.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        return export(function, name=KERNEL_PREFIX + name, module=module, struct=(_RecordType(fields), 2))

    return register
