"""What the engine's unary kernels compute, in Structured Text with EXP, LN, SQRT, ABS, SIN and COS of the PLC, and nothing else.

`$v` is the argument and the result; `$a`, `$b`, `$c` are free to use; `$p`, `$q` are the kernel's parameters as literals.
EXP is only asked for numbers of at most 0 where that is possible: nothing overflows, which halts some PLCs. NaN gives NaN.
"""

from __future__ import annotations

from typing import Final

_TANH: Final = """((((-5.70498872E-3 * $z + 2.06390888E-2) * $z - 5.37397155E-2) * $z + 1.33314422E-1) * $z
    - 3.33332819E-1) * $z"""
"""(tanh(x) - x) / x for z = x * x, |x| <= 0.625: of S. Moshier's Cephes library."""

_SIGMOID: Final = """
$a := EXP(-ABS($v));
IF $v >= 0.0 THEN
    $v := 1.0 / (1.0 + $a);
ELSE
    $v := $a / (1.0 + $a);
END_IF;
"""
_EXPM1: Final = """
IF $b > -1.25 THEN
    $a := 0.5 * $b;
    $c := $a * $a;
    $a := $tanh * $a + $a;
    $b := 2.0 * $a / (1.0 - $a);
ELSE
    $b := EXP($b) - 1.0;
END_IF;
""".replace("$tanh", _TANH.replace("$z", "$c"))
"""b := exp(b) - 1 for b < 0: 2 t / (1 - t) with t = tanh(b / 2) near 0."""
_ERF: Final = """
$b := $v;
IF $b > 4.0 THEN
    $b := 4.0;
ELSIF $b < -4.0 THEN
    $b := -4.0;
END_IF;
$a := $b * $b;
$c := (((((-2.72614226E-10 * $a + 2.77068142E-8) * $a - 2.10102402E-6) * $a - 5.69250639E-5) * $a
    - 7.34990630E-4) * $a - 2.95459980E-3) * $a - 1.60960333E-2;
$c := $b * $c / ((((-1.45660718E-5 * $a - 2.13374055E-4) * $a - 1.68282697E-3) * $a - 7.37332917E-3) * $a
    - 1.42647390E-2);
"""
"""c := erf(v): a ratio of polynomials, as in the Eigen library."""


def _below_zero(prepare: str, result: str) -> str:
    inner = "\n".join(f"    {line}" for line in (prepare + _EXPM1).strip("\n").split("\n") if line)
    return f"IF $v < 0.0 THEN\n{inner}\n    $v := {result};\nEND_IF;\n"


_CLIP: Final = """
IF $v < $p THEN
    $v := $p;
END_IF;
IF $v > $q THEN
    $v := $q;
END_IF;
"""
_TO_UNIT: Final = _CLIP.replace("$p", "0.0").replace("$q", "1.0")

FUNCTIONS: Final[dict[str, str]] = {
    "neg": "$v := -$v;",
    "abs": "$v := ABS($v);",
    "sqrt": "$v := SQRT($v);",
    "exp": "$v := EXP($v);",
    "log": "$v := LN($v);",
    "sin": "$v := SIN($v);",
    "cos": "$v := COS($v);",
    "reciprocal": "$v := 1.0 / $v;",
    "relu": "IF $v < 0.0 THEN\n    $v := 0.0;\nEND_IF;",
    "sign": "IF $v > 0.0 THEN\n    $v := 1.0;\nELSIF $v < 0.0 THEN\n    $v := -1.0;\nEND_IF;",
    "clip": _CLIP,
    "leakyrelu": "IF $v < 0.0 THEN\n    $v := $v * $p;\nEND_IF;",
    "sigmoid": _SIGMOID,
    "hardsigmoid": "$v := $p * $v + $q;" + _TO_UNIT,
    "hardswish": "$c := $v;\n$v := $v * 1.66666666666666667E-1 + 0.5;" + _TO_UNIT + "$v := $c * $v;",
    "swish": "$c := $v;\n$v := $v * $p;" + _SIGMOID + "$v := $c * $v;",
    "softsign": "$v := $v / (ABS($v) + 1.0);",
    "tanh": """
$a := ABS($v);
IF $a > 0.625 THEN
    $b := EXP(-2.0 * $a);
    $a := 1.0 - 2.0 * $b / (1.0 + $b);
    IF $v < 0.0 THEN
        $v := -$a;
    ELSE
        $v := $a;
    END_IF;
ELSE
    $a := $v * $v;
    $v := $tanh * $v + $v;
END_IF;
""".replace("$tanh", _TANH.replace("$z", "$a")),
    "elu": _below_zero("$b := $v;", "$p * $b"),
    "celu": _below_zero("$b := $v / $p;", "$p * $b"),
    "selu": _below_zero("$b := $v;", "$p * $b") + "$v := $q * $v;",
    "softplus": """
$a := EXP(-ABS($v));
$b := $a / (2.0 + $a);
$c := $b * $b;
$c := 2.0 * $b * (1.0 + $c * (3.33333343E-1 + $c * (0.2 + $c * (1.42857149E-1 + $c * (1.11111112E-1
    + $c * (9.09090936E-2 + $c * (7.69230798E-2 + $c * 6.66666701E-2)))))));
IF $v > 0.0 THEN
    $v := $v + $c;
ELSE
    $v := $c;
END_IF;
""",
    "mish": """
IF NOT ($v > 20.0) THEN
    $a := EXP($v);
    $b := $a * ($a + 2.0);
    $v := $v * ($b / ($b + 2.0));
END_IF;
""",
    "erf": _ERF + "$v := $c;",
    "gelu": "$v := $v * 7.07106769E-1;" + _ERF + "$v := $v * 7.07106769E-1;\n$v := $v * $c + $v;",
    "gelu_tanh": "$c := $v;\n$v := $v * ($v * $v * 7.13548139E-2 + 1.59576917);" + _SIGMOID + "$v := $c * $v;",
}
"""Kernel -> lines."""

SINGLE_ONLY: Final = frozenset({"tanh", "elu", "celu", "selu", "softplus", "erf", "gelu", "mish", "gelu_tanh"})
"""Made for float32: of float64 they would lose digits."""
