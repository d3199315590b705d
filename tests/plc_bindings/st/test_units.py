"""Units taken apart: nothing is lost between the text and its pieces."""

import pytest

from plc_bindings.st import portable, twincat
from plc_bindings.st.units import Variable, unit
from tests.plc_bindings.st.exported import ADS, demo, modbus

BLOCK = """(* What it is for. *)
{attribute 'hide'}
FUNCTION_BLOCK FB_X
VAR_INPUT
    a : REAL := 1.0; (* first *)
    b : ARRAY [0..3] OF REAL;
END_VAR
VAR CONSTANT
    c : STRING(8) := 'x := 1';
END_VAR

(* A method. *)
METHOD PRIVATE Go : BOOL
VAR_INPUT
    n : ULINT := 100; (* cycles *)
END_VAR
Go := n > 1;
END_METHOD

a := 2.0;
END_FUNCTION_BLOCK
"""


def test_a_block():
    """Comment, attributes, sections, method, body."""
    found = unit(BLOCK)
    assert (found.kind, found.name, found.comment) == ("FUNCTION_BLOCK", "FB_X", "What it is for.")
    assert found.attributes == (("hide", ""),)
    assert [section.kind for section in found.sections] == ["VAR_INPUT", "VAR CONSTANT"]
    assert found.sections[0].variables == (
        Variable("a", "REAL", "1.0", "first"),
        Variable("b", "ARRAY [0..3] OF REAL"),
    )
    assert found.sections[1].variables == (Variable("c", "STRING(8)", "'x := 1'"),)
    (method,) = found.methods
    assert (method.name, method.returns, method.private, method.body) == ("Go", "BOOL", True, "Go := n > 1;\n")
    assert found.body == "a := 2.0;\n" and found.declaration.endswith("END_VAR\n")


@pytest.mark.parametrize(
    ("text", "kind", "name", "returns"),
    [
        ("TYPE RT_A : ARRAY [0..3] OF REAL;\nEND_TYPE\n", "ALIAS", "RT_A", "ARRAY [0..3] OF REAL"),
        ("TYPE ST_A :\nSTRUCT\n    x : REAL;\nEND_STRUCT\nEND_TYPE\n", "STRUCT", "ST_A", ""),
        ("TYPE E_A :\n(\n    OK := 0,\n    BAD := 1 (* no *)\n);\nEND_TYPE\n", "ENUM", "E_A", ""),
        ("VAR_GLOBAL CONSTANT\n    P : UDINT := 16#10;\nEND_VAR\n", "VAR_GLOBAL", "G", ""),
        ("FUNCTION F : UINT\nVAR_INPUT\n    x : UINT;\nEND_VAR\nF := x;\nEND_FUNCTION\n", "FUNCTION", "F", "UINT"),
        ("PROGRAM P\nVAR\n    x : UINT;\nEND_VAR\nx := 1;\nEND_PROGRAM\n", "PROGRAM", "P", ""),
    ],
)
def test_other_kinds(text, kind, name, returns):
    found = unit(text, "G")
    assert (found.kind, found.name, found.returns, found.text) == (kind, name, returns, text)


def test_a_declaration_that_is_not_ours_is_noticed():
    with pytest.raises(AssertionError, match="a, b : REAL"):
        unit(BLOCK.replace("    b : ARRAY [0..3] OF REAL;", "    a, b : REAL;"))


def test_the_pieces_are_the_whole():
    """Declaration, methods and body together are every line but the END, of all that is exported."""
    of = demo()
    for found in (*twincat.units(of, ADS), *portable.units(of, modbus(of))):
        if found.kind in ("FUNCTION_BLOCK", "FUNCTION", "PROGRAM"):
            pieces = [found.declaration, *(m.text for m in found.methods), found.body]
            lines = [line for piece in pieces for line in piece.splitlines() if line]
            assert lines == [line for line in found.text.splitlines()[:-1] if line]
