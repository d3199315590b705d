"""The language of a step with arrays: what `from scheduler.step_lang import step` gives to who writes one.

    @step(state=1)                                        state: numbers that stay from cycle to cycle, 0 at the start
    def smooth(inputs, outputs, state):
        state[0] += 0.1 * (inputs[2] - state[0])
        outputs[0] = state[0]

Inputs can be read, outputs and state also written; `len()` says how many there are, -1 is the last one. An index that is not
there, as well as a result other than 0 (or none), makes the outputs of this cycle safe. A fourth argument is the cycle:

    cycle.period_s       the task's cycle time
    cycle.elapsed_s      since the step last ran: as a rule the cycle time, longer after missed ticks
    cycle.resumed        are the newest outputs not its own? In the first cycle, and after outputs that were held or safe
    cycle.published[0]   the task's outputs as the cycle before published them: limited, held or safe

Only native modules import this file (`rt_native.lang` says what else they may use). What is made of a function is the step
that `scheduler.steps` describes, and `NAME_state_bytes`, which says how much state it wants.
"""

import dis
import operator
from collections.abc import Callable
from typing import Any

from numba.core import cgutils, types
from numba.extending import intrinsic, make_attribute_wrapper, models, overload, overload_attribute, register_model

from rt_native.lang import export, inline, load_f64, load_i64, stack, store_f64, store_i64
from rt_native.memory import offsets
from scheduler.task_block import STEP_HEADER

_H = offsets(STEP_HEADER)
_ELAPSED, _PERIOD, _RESUMED, _PUBLISHED = (
    offset - STEP_HEADER.itemsize for offset in (_H.elapsed_ns, _H.period_ns, _H.resumed, _H.published)
)
_ALWAYS: Any = {"forceinline": True}
_NAN = float("nan")


class _Numbers(types.Type):
    """`count` float64 at `address`; an index that is not there is noted at `fault`."""

    def __init__(self, writable: bool) -> None:
        self.writable = writable
        super().__init__("numbers" if writable else "numbers that can only be read")


class _Cycle(types.Type):
    """What the cycle says to a step: lies before its state (`STEP_HEADER`)."""

    def __init__(self) -> None:
        super().__init__("cycle")


@register_model(_Numbers)
class _NumbersModel(models.StructModel):
    def __init__(self, manager: Any, of: Any) -> None:
        super().__init__(manager, of, [(name, types.int64) for name in ("address", "count", "fault")])


@register_model(_Cycle)
class _CycleModel(models.StructModel):
    def __init__(self, manager: Any, of: Any) -> None:
        super().__init__(manager, of, [(name, types.int64) for name in ("state", "count", "fault")])


for _member in ("address", "count", "fault"):
    make_attribute_wrapper(_Numbers, _member, f"_{_member}")
for _member in ("state", "count", "fault"):
    make_attribute_wrapper(_Cycle, _member, f"_{_member}")


def _maker(made: Any) -> Any:
    @intrinsic
    def make(typingctx: Any, first: Any, count: Any, fault: Any) -> Any:
        """The struct of three int64."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            proxy = cgutils.create_struct_proxy(made)(context, builder)
            for index, value in enumerate(args):
                proxy[index] = value
            return proxy._getvalue()

        return made(types.int64, types.int64, types.int64), codegen

    return make


_readable, _writable, _cycle = _maker(_Numbers(False)), _maker(_Numbers(True)), _maker(_Cycle())


@inline
def _place(numbers, index):
    """Address of an element; 0, and the fault noted, when there is none."""
    at = index + numbers._count if index < 0 else index
    if at < 0 or at >= numbers._count:
        store_i64(numbers._fault, 1)
        return 0
    return numbers._address + 8 * at


@overload(operator.getitem, jit_options=_ALWAYS)
def _get(numbers, index):
    if not isinstance(numbers, _Numbers) or not isinstance(index, types.Integer):
        return None

    def get(numbers, index):
        place = _place(numbers, index)
        return load_f64(place) if place != 0 else _NAN

    return get


@overload(operator.setitem, jit_options=_ALWAYS)
def _set(numbers, index, value):
    if not isinstance(numbers, _Numbers) or not numbers.writable or not isinstance(index, types.Integer):
        return None

    def put(numbers, index, value):
        place = _place(numbers, index)
        if place != 0:
            store_f64(place, value)

    return put


@overload(len, jit_options=_ALWAYS)
def _len(numbers):
    return (lambda numbers: numbers._count) if isinstance(numbers, _Numbers) else None


@overload_attribute(_Cycle, "period_s")
def _period_s(cycle):
    return lambda cycle: load_i64(cycle._state + _PERIOD) * 1e-9


@overload_attribute(_Cycle, "elapsed_s")
def _elapsed_s(cycle):
    return lambda cycle: load_i64(cycle._state + _ELAPSED) * 1e-9


@overload_attribute(_Cycle, "resumed")
def _resumed(cycle):
    return lambda cycle: load_i64(cycle._state + _RESUMED) != 0


@overload_attribute(_Cycle, "published")
def _published(cycle):
    return lambda cycle: _readable(load_i64(cycle._state + _PUBLISHED), cycle._count, cycle._fault)


def _status(result: Any) -> Any:
    """What a step gave, as its status; only for the compiler."""
    raise NotImplementedError


@overload(_status, jit_options=_ALWAYS)
def _status_of(result):
    if isinstance(result, types.NoneType):
        return lambda result: 0
    return (lambda result: result) if isinstance(result, types.Integer) else None


def _raises(function: Callable[..., Any]) -> int | None:
    """The first line of a function that raises an exception."""
    found = (code.positions for code in dis.get_instructions(function) if code.opname == "RAISE_VARARGS")
    return next((place.lineno for place in found if place), None)


def step(function: Callable[..., Any] | None = None, *, state: int = 0) -> Callable[..., Any]:
    """Make `function(inputs, outputs, state)`, or `(inputs, outputs, state, cycle)`, a step with `state` numbers of its own."""
    if function is None:
        return lambda function: step(function, state=state)
    if line := _raises(function):
        raise TypeError(
            f"{function.__name__}: line {line} raises, or asserts, where nobody catches it: the cycle would go on; "
            "return 1, and the outputs are safe"
        )
    body, arguments = inline(function), function.__code__.co_argcount
    if arguments not in (3, 4):
        raise TypeError(
            f"{function.__name__}({arguments} arguments): a step takes inputs, outputs, state, and perhaps cycle"
        )

    def run(inputs, n_in, outputs, n_out, memory):
        fault = stack(64)
        store_i64(fault, 0)
        status = _status(
            body(_readable(inputs, n_in, fault), _writable(outputs, n_out, fault), _writable(memory, state, fault))
        )
        return status | load_i64(fault)

    def run_in_cycle(inputs, n_in, outputs, n_out, memory):
        fault = stack(64)
        store_i64(fault, 0)
        numbers = _readable(inputs, n_in, fault), _writable(outputs, n_out, fault), _writable(memory, state, fault)
        status = _status(body(numbers[0], numbers[1], numbers[2], _cycle(memory, n_out, fault)))
        return status | load_i64(fault)

    def state_bytes() -> int:
        return 8 * state

    export(run if arguments == 3 else run_in_cycle, name=function.__name__, module=function.__module__)
    export(state_bytes, name=f"{function.__name__}_state_bytes", module=function.__module__)
    return body
