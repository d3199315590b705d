"""What a run is said to take, where many calls share a tensor: each is counted with what it touches."""

import pytest
from onnx import parser

from rt_engine.compiler import lower_model
from rt_engine.lower.work import units

HEAD = '<ir_version: 9, opset_import: ["" : 18]>\n'
PIECES = [f"x{i}" for i in range(200)]
INPUTS, NAMES = ", ".join(f"float[50] {piece}" for piece in PIECES), ", ".join(PIECES)
CONCAT = f"g ({INPUTS}) => (float[10000] y) {{ y = Concat <axis = 0> ({NAMES}) }}"
SPLIT = f"g (float[10000] x) => ({INPUTS}) {{ {NAMES} = Split <axis = 0, num_outputs = 200> (x) }}"
SCAN = """g (float[200, 50] x, float[50] s) => (float[50] t, float[200, 50] y)
{
    t, y = Scan <
        num_scan_inputs = 1,
        body = b (float[50] a, float[50] i) => (float[50] c, float[50] o) { c = Add(a, i)  o = Neg(c) }
    > (s, x)
}"""


@pytest.mark.parametrize("text", [CONCAT, SPLIT, SCAN])
def test_pieces_of_a_tensor_are_counted_as_pieces(text):
    """200 calls of 50 elements of 10,000: a few units for each element, and not 200 times the whole."""
    lowered, *_ = lower_model(parser.parse_model(HEAD + text))
    assert 10_000 < units(lowered.calls, lowered.loops) < 150_000
