"""Standard functions of Structured Text: name -> function from (types of arguments, where) to (type of the result, function)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from tests.plc_bindings.st.evaluator_types import (
    ANY_REAL,
    ELEMENTARY,
    PVOID,
    Elementary,
    Pointer,
    Rules,
    StructuredTextError,
    common,
    string_type,
)

Function = Callable[..., Any]
_CONVERSION = re.compile(r"(?:([a-z]+)_)?to_([a-z]+)$")


def exponential(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def divided(a: float, b: float) -> float:
    """IEEE 754."""
    if b == 0.0:
        return math.nan if a == 0.0 or a != a else math.copysign(math.inf, a) * math.copysign(1.0, b)
    return a / b


def power(a: float, b: float) -> float:
    try:
        return math.pow(a, b)
    except OverflowError:
        return math.inf


def _logarithm(x: float) -> float:
    return -math.inf if x == 0.0 else math.log(x) if x > 0.0 else math.nan


def _root(x: float) -> float:
    return math.sqrt(x) if x >= 0.0 else math.nan


_REAL_FUNCTIONS: dict[str, Function] = {
    "exp": exponential,
    "ln": _logarithm,
    "log": lambda x: _logarithm(x) / math.log(10.0),
    "sqrt": _root,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "asin": math.asin,
    "acos": math.acos,
    "atan": math.atan,
}
_CHOICES: dict[str, Function] = {
    "max": lambda a, b: a if a > b else b,
    "min": lambda a, b: a if a < b else b,
    "limit": lambda low, x, high: low if x < low else high if x > high else x,
}


def standard(name: str, types: list[Any], where: str, rules: Rules) -> tuple[Any, Function] | None:
    """Type of the result, and the function; None: no such function. PLCs do different things with NaN in MAX, MIN and LIMIT: raises.

    Raises:
        StructuredTextError: arguments that it does not take.
    """
    if name in _REAL_FUNCTIONS:
        (type_,) = types
        _need(type_, ("real",), where)
        function = _REAL_FUNCTIONS[name]
        return type_, lambda x: finite(type_.check(function(x)), where, rules)
    if name in _CHOICES:
        type_ = types[0]
        for other in types[1:]:
            type_ = common(type_, other, where, rules)
        chosen = _CHOICES[name]
        return type_, lambda *a: chosen(*_no_nan(a, where))
    if name == "abs":
        return types[0], lambda x: types[0].check(abs(x))
    if name == "sel":
        return common(types[1], types[2], where, rules), lambda g, a, b: b if g else a
    if name == "trunc":
        _need(types[0], ("real", "any_real"), where)
        return ELEMENTARY["dint"], lambda x: ELEMENTARY["dint"].check(math.trunc(x))
    if name in ("shl", "shr", "rol", "ror"):
        return types[0], _shift(name, types[0], where)
    if name == "len":
        return ELEMENTARY["int"], len
    if name == "concat":
        return string_type(255), lambda *a: "".join(a)
    if rules.codesys and name in _MEMORY:
        if [t is PVOID for t in types] != [True, name == "memcpy", False] or types[2].kind not in ("int", "any_int"):
            raise StructuredTextError(f"{where}: of {', '.join(t.name for t in types)}")
        return ELEMENTARY["udint"], _MEMORY[name]
    return _conversion(name, types, where, rules)


def finite(x: Any, where: str, rules: Rules) -> Any:
    """`x`, if it is a number or need not be one."""
    if rules.exact and isinstance(x, float) and not math.isfinite(x):
        raise StructuredTextError(f"{where}: becomes {x}")
    return x


def _copy(target: Pointer | None, source: Pointer | None, size: int) -> int:
    if target is None or source is None:
        raise StructuredTextError("MEMCPY with a null pointer")
    target.write(source.read(size))
    return size


def _fill(target: Pointer | None, byte: int, size: int) -> int:
    if target is None:
        raise StructuredTextError("MEMSET with a null pointer")
    target.write(bytes([byte]) * size)
    return size


_MEMORY: dict[str, Function] = {"memcpy": _copy, "memset": _fill}


def _need(type_: Any, kinds: tuple[str, ...], where: str) -> None:
    if not isinstance(type_, Elementary) or type_.kind not in kinds:
        raise StructuredTextError(f"{where}: takes {' or '.join(kinds)}, not {type_.name}")


def _no_nan(values: tuple[Any, ...], where: str) -> tuple[Any, ...]:
    if any(v != v for v in values):
        raise StructuredTextError(f"{where}: NaN, which PLCs treat in different ways here")
    return values


def _shift(name: str, type_: Elementary, where: str) -> Function:
    _need(type_, ("bits",), where)
    width = (type_.high + 1).bit_length() - 1

    def shift(x: int, n: int) -> int:
        if not 0 <= n < width:
            raise StructuredTextError(f"{where}: shift of {type_.name} by {n}, which PLCs do in different ways")
        left, right = x << n, x >> n
        if name in ("rol", "ror"):
            n = n if name == "rol" else width - n
            left, right = x << n | x >> (width - n), 0
        return (right if name == "shr" else left) & type_.high

    return shift


def _conversion(name: str, types: list[Any], where: str, rules: Rules) -> tuple[Any, Function] | None:
    found = _CONVERSION.match(name)
    if found is None or found[2] not in ELEMENTARY or (found[1] is not None and found[1] not in ELEMENTARY):
        return None
    if found[1] is None and not rules.codesys:
        raise StructuredTextError(f"{where}: from which type is not said, which matiec refuses")
    (given,) = types
    source, target = ELEMENTARY[found[1]] if found[1] else given, ELEMENTARY[found[2]]
    if given is not source and given.kind not in ("any_int", "any_real"):
        raise StructuredTextError(f"{where}: of {given.name}")
    return target, lambda x: convert(source.check(x) if source is not ANY_REAL else x, source, target, where, rules)


def convert(x: Any, source: Elementary, target: Elementary, where: str, rules: Rules) -> Any:
    """X_TO_Y: what does not fit raises. Not exact: bits keep their pattern, reals round to the nearest whole number."""
    if target.kind in ("int", "bits") and source.kind in ("real", "any_real"):
        if rules.exact and x != int(finite(x, where, rules)):
            raise StructuredTextError(f"{where}: {x} would be rounded")
        if x != x or math.isinf(x) or math.floor(x) + 0.5 == x:
            raise StructuredTextError(f"{where}: {x}, which PLCs round in different ways")
        return target.check(round(x))
    if target.kind == "bool":
        return x != 0
    pattern = "bits" in (source.kind, target.kind) and target.kind in ("int", "bits")
    if pattern and not rules.exact:  # modulo: the low bits are kept
        width = target.high - target.low + 1
        return (int(x) - target.low) % width + target.low
    return target.check(int(x) if source.kind == "bool" else x)
