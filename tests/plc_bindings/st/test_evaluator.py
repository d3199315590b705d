"""The evaluator of Structured Text that tests rely on."""

import math

import numpy as np
import pytest

from tests.plc_bindings.st.evaluator import Program, StructuredTextError

BLOCK = """
TYPE
    T_Vector : ARRAY [0..3] OF REAL;
    ST_Point : STRUCT
        x : REAL := 1.5;
        n : DINT;
    END_STRUCT;
    E_Mode : (Idle := 3, Running);
END_TYPE

FUNCTION F_Scaled : REAL
VAR_INPUT
    value : REAL;
    factor : REAL := 2.0;
END_VAR
F_Scaled := value * factor;
END_FUNCTION

FUNCTION_BLOCK FB_Counter
VAR_INPUT
    step : DINT := 1;
END_VAR
VAR_OUTPUT
    total : DINT;
END_VAR
METHOD Add : BOOL
VAR_INPUT
    by : DINT;
END_VAR
    total := total + by;
    Add := total > 10;
END_METHOD
total := total + step;
END_FUNCTION_BLOCK

FUNCTION_BLOCK FB_All
VAR_INPUT
    v : T_Vector;
    go : BOOL;
END_VAR
VAR_IN_OUT
    shared : T_Vector;
END_VAR
VAR_OUTPUT
    y : REAL;
    k : DINT;
END_VAR
VAR CONSTANT
    W : ARRAY [0..3] OF REAL := [1.0, -2.0,
        3.0E-1, 4.0];
    M : ARRAY [0..1, 0..2] OF DINT := [1, 2, 3, 4, 5, 6];
END_VAR
VAR
    i : DINT;
    p : ST_Point;
    c : FB_Counter;
    over : BOOL;
END_VAR
y := 0.0;
FOR i := 0 TO 3 DO
    y := y + W[i] * v[i];
    IF i = 2 AND go THEN
        EXIT;
    END_IF;
END_FOR;
c(step := 4, total => k);
over := c.Add(by := 3);
p.n := M[1, 2] + c.total;
CASE p.n OF
    1..5: k := 0;
    13: k := E_Mode.Running;
    ELSE k := -1;
END_CASE;
WHILE p.n > 0 DO
    p.n := p.n - 5;
END_WHILE;
shared[1] := F_Scaled(y, factor := 0.5);
p.x := EXP(p.x);
END_FUNCTION_BLOCK
"""


def block_of(body: str, declarations: str = "", **inputs: object):
    """A block with these statements, after one call."""
    text = f"FUNCTION_BLOCK FB\nVAR\n{declarations}\nEND_VAR\n{body}\nEND_FUNCTION_BLOCK"
    block = Program(text).new("FB")
    block(**inputs)
    return block


def test_statements_blocks_methods_and_types():
    """Loops, CASE, blocks within blocks, methods, functions, constants, structures, VAR_IN_OUT by reference."""
    block = Program(BLOCK).new("fb_all")
    shared = [0.0] * 4
    v = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    block(v=v.tolist(), go=False, shared=shared)
    expected = np.float32(0)
    for w, x in zip(np.array([1, -2, 0.3, 4], np.float32), v, strict=True):
        expected = expected + w * x
    assert block.y == expected and block.k == 4 and block.p.n == -2 and not block.over
    assert shared == [0.0, np.float32(expected * np.float32(0.5)), 0.0, 0.0]
    assert block.p.x == pytest.approx(math.exp(1.5), rel=1e-7)
    block(v=v.tolist(), go=True, shared=shared)
    assert block.c.total == 14 and block.over and block.y < expected
    assert block.c.call("Add", by=1) is True


def test_real_is_float32():
    """Each operation rounds; LREAL does not."""
    block = block_of("r := 0.1; s := r + 0.2; d := 0.1; d := d + 0.2;", "r, s : REAL; d : LREAL;")
    assert block.r == np.float32(0.1) and block.s == np.float32(0.1) + np.float32(0.2) and block.d == 0.1 + 0.2
    block = block_of("r := 1.0E38; r := r * 10.0; s := r - r; b := s = s;", "r, s : REAL; b : BOOL;")
    assert math.isinf(block.r) and math.isnan(block.s) and block.b is False


def test_integers_and_bits():
    """Division truncates, MOD has the sign of the dividend, shifts keep the width, conversions of bits keep the pattern."""
    block = block_of(
        "a := -7 / i; b := -7 MOD i; w := SHL(w, 4) OR SHR(w, 12); n := BYTE_TO_UINT(UINT_TO_BYTE(258)); x := NOT w; t := 255;",
        "a, b, i : DINT := 2; w : WORD := 16#A00F; x : WORD; n : UINT; t : USINT;",
    )
    assert (block.a, block.b, block.w, block.n, block.x) == (-3, -1, 0x00FA, 2, 0xFF05)


@pytest.mark.parametrize(
    ("body", "declarations", "why"),
    [
        ("t := t + 1;", "t : USINT := 255;", "does not fit"),
        ("x := n;", "x : REAL; n : DINT;", "write the conversion"),
        ("x := n + m;", "x, n : DINT; m : INT;", "write the conversion"),
        ("x := a[4];", "x : REAL; a : ARRAY [0..3] OF REAL;", "outside of"),
        ("x := MAX(x, y);", "x, y : REAL;", "NaN"),
        ("x := 1 / y;", "x, y : DINT;", "divided by zero"),
        ("w := SHL(w, 16);", "w : WORD;", "shift"),
        ("IF n THEN n := 1; END_IF;", "n : DINT;", "a condition is BOOL"),
        ("x := FOO(x);", "x : REAL;", "no such function"),
        ("y := x;", "x : REAL;", "not declared"),
        ("WHILE TRUE DO x := 1.0; END_WHILE;", "x : REAL;", "more than"),
        ("x := ADR(x);", "x : REAL;", "not evaluated"),
        ("n := REAL_TO_DINT(x);", "n : DINT; x : REAL := 2.5;", "round in different ways"),
        ("x := := 1.0;", "x : REAL;", "cannot be parsed"),
        ("x := y;", "x : REAL; y : LREAL;", "write the conversion"),
        ("x := n < w;", "x : BOOL; n : UINT; w : WORD;", "write the conversion"),
    ],
)
def test_what_compilers_do_differently_raises(body, declarations, why, monkeypatch):
    """Nothing is skipped and nothing is guessed."""
    monkeypatch.setattr("tests.plc_bindings.st.evaluator_code.MOST_TURNS", 1000)
    if "MAX" in body:
        body = "y := 1.0E38; y := y * 10.0; y := y - y; " + body
    with pytest.raises(StructuredTextError, match=why):
        block_of(body, declarations)


def test_constants_cannot_be_written():
    """Neither whole nor one element."""
    text = "FUNCTION_BLOCK FB\nVAR CONSTANT\nW : ARRAY [0..1] OF REAL := [1.0, 2.0];\nEND_VAR\nW[0] := 1.0;\nEND_FUNCTION_BLOCK"
    with pytest.raises(StructuredTextError, match="constant"):
        Program(text).new("FB")()


def test_blocks_from_libraries():
    """A factory stands for a block that is not written in Structured Text."""

    class Timer:
        Q, ET = False, 0

        def __call__(self, IN: bool, PT: int) -> None:
            self.Q, self.ET = IN, PT

    text = """FUNCTION_BLOCK FB
VAR
    t : TON;
    q, r : BOOL;
END_VAR
t(IN := TRUE, PT := T#1s500ms, Q => q);
r := t.Q;
END_FUNCTION_BLOCK"""
    block = Program(text, blocks={"TON": Timer}).new("FB")
    block()
    assert block.q and block.r and block.t.ET == 1500
