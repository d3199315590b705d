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


def block_of(body: str, declarations: str = "", **how: bool):
    """A block with these statements, after one call."""
    text = f"FUNCTION_BLOCK FB\nVAR\n{declarations}\nEND_VAR\n{body}\nEND_FUNCTION_BLOCK"
    block = Program(text, **how).new("FB")
    block()
    return block


def test_statements_blocks_methods_and_types():
    """Loops, CASE, blocks within blocks, methods, functions, constants, structures, VAR_IN_OUT by reference."""
    block = Program(BLOCK, codesys=True).new("fb_all")
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
    block = block_of("r := 1.0E38; r := r * 10.0; s := r - r; b := s = s;", "r, s : REAL; b : BOOL;", exact=False)
    assert math.isinf(block.r) and math.isnan(block.s) and block.b is False


def test_integers_and_bits():
    """Division truncates, MOD has the sign of the dividend, shifts keep the width, conversions of bits keep the pattern."""
    block = block_of(
        "a := -7 / i; b := -7 MOD i; w := SHL(w, 4) OR SHR(w, 12); n := BYTE_TO_UINT(UINT_TO_BYTE(258)); x := NOT w; t := 255;",
        "a, b, i : DINT := 2; w : WORD := 16#A00F; x : WORD; n : UINT; t : USINT;",
        exact=False,
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
        block_of(body, declarations, exact="MAX" not in body and "2.5" not in declarations)


POINTERS = """FUNCTION_BLOCK FB
VAR
    a : ARRAY [0..7] OF BYTE;
    s : ARRAY [0..1] OF ST_Two;
    t : STRING(7);
    p : PVOID;
    n, size : UDINT;
    m : INT := 3;
END_VAR
size := SIZEOF(s);
a[4] := 16#80;
p := ADR(a[2]);
MEMCPY(ADR(s), p, 6);
MEMSET(ADR(t), 65, GVL.SOME);
IF LEN(t) < GVL.SOME THEN
    RETURN;
END_IF
MEMCPY(ADR(n), ADR(s[1]), 4);
END_FUNCTION_BLOCK

TYPE ST_Two :
STRUCT
    n : INT;
    b : BYTE;
END_STRUCT
END_TYPE
"""
GVL = "VAR_GLOBAL CONSTANT\n    SOME : UDINT := 3;\nEND_VAR"


def test_pointers_see_the_bytes_of_variables():
    """Packed; an element's address reaches to the end of its array; the variable stays where it is when it is assigned as a whole."""
    block = Program(POINTERS, codesys=True, lists={"GVL": GVL}).new("FB")
    with pytest.raises(StructuredTextError, match="4 bytes read of a variable of 3"):
        block()
    assert block.size == 6 and block.t == "AAA" and block.s[0].b == 0x80 and block.p is not None
    before = block.at("a")
    block.a = bytes(range(8))
    assert before.read() == bytes(range(8)) and block.p.read() == bytes(range(2, 8))
    before.write(b"xy", 6)
    assert block.a[6:] == [*b"xy"]
    for refused in (lambda: before.write(b"xyz", 6), lambda: before.read(9), lambda: before.read(-1)):
        with pytest.raises(StructuredTextError, match="of a variable of 8"):
            refused()


@pytest.mark.parametrize(
    ("body", "declarations", "why"),
    [
        ("MEMCPY(p, ADR(n), 2);", "p : PVOID; n : INT;", "null pointer"),
        ("MEMSET(ADR(n), 0, 3);", "n : INT;", "3 bytes written"),
        ("p := ADR(a[4]);", "p : PVOID; a : ARRAY [0..3] OF BYTE;", "outside of"),
        ("p := n;", "p : PVOID; n : UDINT;", "write the conversion"),
        ("MEMCPY(n, ADR(n), 4);", "n : UDINT;", "memcpy: .*of UDINT"),
        ("n := SIZEOF(p);", "n : UDINT; p : PVOID;", "no bytes to point to"),
        ("n := m;", "n : INT; m : DINT;", "write the conversion"),
        ("n := m;", "n : UINT; m : INT;", "write the conversion"),
        ("x := n + m;", "x : INT; n : UDINT; m : INT;", "LINT to INT"),
    ],
)
def test_what_codesys_would_do_wrong_raises(body, declarations, why):
    """Pointers stay within their variable; integers widen only where all values fit."""
    with pytest.raises(StructuredTextError, match=why):
        block_of(body, declarations, codesys=True)


PARTS = """FUNCTION F_Two : DINT
VAR_INPUT
    n : DINT;
END_VAR
{function}
END_FUNCTION

FUNCTION_BLOCK FB_Part
VAR_INPUT
    n : DINT;
END_VAR
VAR_IN_OUT
    shared : T_Four;
END_VAR
VAR_OUTPUT
    y : DINT;
END_VAR
VAR
    hidden : DINT;
END_VAR
y := n;
END_FUNCTION_BLOCK

TYPE T_Four : ARRAY [0..3] OF DINT;
END_TYPE

FUNCTION_BLOCK FB
VAR CONSTANT
    W : T_Four := [1, 2, 3, 4];
END_VAR
VAR
    part, other : FB_Part;
    a : T_Four;
    n : DINT;
    x : REAL := 3.0E38;
    b : BYTE;
END_VAR
{body}
END_FUNCTION_BLOCK
"""


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("part(n := 1);", "shared is not given"),
        ("part(n := 1, n := 2, shared := a);", "not given once"),
        ("part(shared := W);", "constant"),
        ("part(y := 1, shared := a);", "no input y"),
        ("part(shared := a, n => n);", "var_input of"),
        ("part.y := 1;", "y is not var_input"),
        ("n := part.hidden;", "hidden is not var_input or var_output"),
        ("part := other;", "a block cannot be assigned"),
        ("n := F_Two(1, 2);", "has 1 inputs"),
        ("F_Two(1);", "a function is no statement"),
        ("IF FALSE THEN n := nobody; END_IF;", "not declared"),
        ("x := x * 10.0;", "becomes inf"),
        ("n := REAL_TO_DINT(2.25);", "would be rounded"),
        ("b := DINT_TO_BYTE(n + 256);", "does not fit"),
        ("CASE b OF 1: n := 1; END_CASE;", "CASE of BYTE"),
        ("n := TO_DINT(b);", "from which type"),
    ],
)
def test_what_real_compilers_refuse_raises(body, why):
    """matiec and STruC++ say no to most of these; the rest loses values without a word."""
    good = PARTS.format(function="F_Two := n;", body="part(n := F_Two(1), shared := a, y => n); part.n := 2;")
    Program(good).new("FB")()
    with pytest.raises(StructuredTextError, match=why):
        Program(PARTS.format(function="F_Two := n;", body=body)).new("FB")()


def test_all_is_compiled_before_anything_runs():
    """Also what is never called: a function without a result, a method in the portable dialect, a name that is there twice."""
    with pytest.raises(StructuredTextError, match="never assigned"):
        Program(PARTS.format(function="", body=""))
    with pytest.raises(StructuredTextError, match="methods are only"):
        Program(BLOCK)
    with pytest.raises(StructuredTextError, match="twice"):
        Program(POINTERS.replace("    b : BYTE;", "    N : BYTE;"), codesys=True, lists={"GVL": GVL})
    with pytest.raises(StructuredTextError, match="not declared"):
        Program(POINTERS, codesys=True, lists={"GVL": GVL}, natives={"TON": print})


def test_what_tests_give_is_checked_as_well():
    """Types, lengths and names."""
    block = Program(POINTERS, codesys=True, lists={"GVL": GVL}).new("FB")
    for name, value in {"n": 1.0, "m": 1 << 15, "t": "too long", "a": [0] * 7, "p": 0}.items():
        with pytest.raises(StructuredTextError):
            setattr(block, name, value)
    with pytest.raises(KeyError):
        block.nobody = 1


def test_constants_cannot_be_written():
    """Neither whole nor one element."""
    text = "FUNCTION_BLOCK FB\nVAR CONSTANT\nW : ARRAY [0..1] OF REAL := [1.0, 2.0];\nEND_VAR\nW[0] := 1.0;\nEND_FUNCTION_BLOCK"
    with pytest.raises(StructuredTextError, match="constant"):
        Program(text).new("FB")()


def test_blocks_from_libraries():
    """A function stands for the body of a block that is not written in Structured Text."""

    def timer(block):
        block.Q, block.ET = block.IN, block.PT

    text = """FUNCTION_BLOCK TON
VAR_INPUT
    IN : BOOL;
    PT : TIME;
END_VAR
VAR_OUTPUT
    Q : BOOL;
    ET : TIME;
END_VAR
END_FUNCTION_BLOCK

FUNCTION_BLOCK FB
VAR
    t : TON;
    q, r : BOOL;
END_VAR
t(IN := TRUE, PT := T#1s500ms, Q => q);
r := t.Q;
END_FUNCTION_BLOCK"""
    block = Program(text, natives={"TON": timer}).new("FB")
    block()
    assert block.q and block.r and block.t.ET == 1500
