"""Functions that are translated without Numba's pipeline do what Python says, and are refused where that is not certain."""

import ctypes
import inspect
from importlib import import_module
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pytest

from rt_native import build
from rt_native.cache import Engine
from rt_native.lang import EXPORTS, Export, inline
from rt_native.plain import translated
from rt_native.plain_numba import NotPlain
from rt_native.target import host
from tests.rt_native import plain_native

NUMBERS = (-9, -4, -1, 0, 1, 2, 3, 4, 5, 8, 9, 13, 40)


def export(function):
    """Of a function of whole numbers."""
    from numba.core import types

    count = len(inspect.signature(function).parameters)
    return Export(f"plain_{function.__name__}", function, count, (types.int64,) * count)


def compiled(function):
    """(callable, what holds its code)."""
    one, machine = export(function), build._machine(host())
    module = llvm.parse_assembly(translated(one))
    build._internalise(module, one.name)
    build._optimise(module, machine, loops=False)
    engine = Engine([({one.name: one.nargs}, machine.emit_object(module))])
    prototype = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * one.nargs)
    return prototype(engine.get_function_address(one.name)), engine


def as_python(function):
    """The function with what it calls as Python has it."""
    names = {name: getattr(value, "py_func", value) for name, value in vars(plain_native).items()}
    return type(function)(function.__code__, names)


@pytest.mark.parametrize("function", plain_native.PIECES, ids=lambda f: f.__name__)
def test_what_python_says(function):
    """For every pair of a few numbers."""
    native, _held = compiled(function)
    python = as_python(function)
    if function is plain_native.fractions:
        python = lambda a, b: _with_infinities(function, a, b)  # noqa: E731
    for a in NUMBERS:
        for b in NUMBERS:
            assert native(a, b) == python(a, b), (a, b)


def _with_infinities(function, a, b):
    """Division by zero as IEEE 754 has it: NumPy's float64."""
    names = {**vars(plain_native), "float": np.float64}
    with np.errstate(all="ignore"):
        return int(type(function)(function.__code__, names)(np.float64(a), b))


def inverted(a):
    return a + (~plain_native._IS_ON)


def shifted(a):
    return a if a > 0 else 1 << -1


def test_constants_are_what_numba_makes_of_them():
    """`~True` is False there; and a shift by less than none is no mistake of who translates."""
    for function in (inverted, shifted):
        native, _held = compiled(function)
        assert native(5) == 5


def test_a_step_over_the_last_number_ends_the_loop():
    def steps(a):
        count = 0
        for _ in range(a, 9223372036854775806, 3):
            count += 1
            if count > 5:
                return -1
        return count

    native, _held = compiled(steps)
    assert [native(9223372036854775806 - n) for n in (-1, 0, 1, 3, 4)] == [0, 0, 1, 1, 2]


def test_memory():
    native, _held = compiled(plain_native.memory)
    assert native(-7, 250) == -7 + 750 - 10


def some(a):
    x = a
    if a > 3:
        x = 0.5
    return int(x)


def unset(a):
    while a < 3:
        a += later  # noqa: F821
        later = 2  # noqa: F841
    return a


def listed(a):
    return [a][0]


def otherwise(a):
    for _ in range(a):
        pass
    else:
        a = 3
    return a


def beyond(a):
    return (a, a)[2]


def one_of(a):
    return (1, 2)[a]


def unsigned(a):
    return a if a > 2 else None


def in_one_branch(a):
    if a > 3:
        b = 5
    return b


def in_a_loop(a):
    for i in range(a):  # noqa: B007
        pass
    return i


def of_two_types(a):
    b = a > 3
    b = b + 2
    return b


def another_thing(a):
    b, found = a, 0
    while found < 3:
        found += b == 1
        b = (a, a)
    return found


def large(a):
    return a < (1 << 63) // 3


def larger(a):
    return a < -_LEAST


def either(a):
    if a > 3:
        return a
    return 0.5


_LEAST = -(1 << 63)
REFUSED = (
    some,
    unset,
    listed,
    otherwise,
    beyond,
    one_of,
    unsigned,
    in_one_branch,
    in_a_loop,
    of_two_types,
    another_thing,
    large,
    larger,
    either,
)


@pytest.mark.parametrize("function", REFUSED, ids=lambda f: f.__name__)
def test_what_is_not_certain_is_not_plain(function):
    """Numba compiles it, or says what is wrong with it."""
    with pytest.raises(NotPlain):
        translated(export(function))


def test_a_mistake_is_numbas_to_explain():
    """A call of what is no native function."""

    def wrong(a):
        return len(a)

    with pytest.raises(NotPlain):
        translated(export(inline(wrong).py_func))


@pytest.mark.parametrize("package", ["scheduler", "fieldbus.exchange", "fieldbus.image", "rt_engine.run"])
def test_what_every_station_starts_with_is_plain(package):
    """Not one function takes Numba's 50 ms; the first start from a clone is short."""
    folder = Path(*package.split("."))
    for file in sorted((Path(__file__).parents[2] / folder).glob("*_native.py")):
        name = f"{package}.{file.stem}"
        import_module(name)
        assert not build.has_loops(name)
        for one in EXPORTS.get(name, []):
            assert f"@{one.name}(" in translated(one).replace('"', "")


@pytest.mark.parametrize("kernel", ["gemm.gemm_f32", "unary.tanh_f32", "elementwise.div_f32", "reduce.reduce_mean_f32"])
def test_kernels_of_small_networks_are_plain(kernel):
    """As one function each, and one for a tile that is called twice."""
    module, _, name = kernel.partition(".")
    module = f"rt_engine.kernels.{module}"
    import_module(module)
    [one] = [one for one in EXPORTS[module] if one.name == f"k_{name}"]
    compiled = llvm.parse_bitcode(build.compiled(one, host()))
    names = [function.name for function in compiled.functions if not function.is_declaration]
    assert one.name in names and len(names) == (2 if name == "gemm_f32" else 1)
    translated(one, inline=True)


def test_a_step_of_zero_takes_no_turn():
    """Python and Numba refuse it; nothing here raises."""

    def turns(a):
        count = 0
        for _ in range(0, 10, a):
            count += 1
        return count

    native, _held = compiled(turns)
    assert [native(step) for step in (0, 3, -1)] == [0, 4, 0]
