"""What a model is compiled to stays what it was, byte for byte, until somebody means to change it."""

import onnx.parser
import pytest

import rt_engine
from rt_engine.program.rtp_writer import to_bytes
from tests.rt_engine.program.compiled import hashes, stored


def test_every_exporters_file_is_compiled_to_the_same_bytes():
    """If the change is meant: python -m tests.rt_engine.program.compiled, and look at the difference."""
    found, known = dict(hashes()), stored()
    assert found.keys() == known.keys() and len(known) > 250
    assert [name for name in known if found[name] != known[name]] == []


BODIES = {
    "If": "(float[4] x) => (float[4] y) <bool c = {1}> { y = If(c) <"
    "then_branch = t () => (float[4] a) { q = Exp(x)  a = Tanh(q) }, else_branch = e () => (float[4] b) { b = Exp(x) }> }",
    "sequence": "(float[4] x) => (float[2, 4] y) { a = Tanh(x)  s = SequenceConstruct(x, a)"
    "  y = ConcatFromSequence <axis = 0, new_axis = 1> (s) }",
}


@pytest.mark.parametrize("kind", BODIES)
def test_the_bytes_do_not_depend_on_what_was_compiled_before(kind):
    """Names that passes make are numbered in each graph anew."""
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> g {BODIES[kind]}')
    first, second = (to_bytes(rt_engine.load(model).program) for _ in range(2))
    assert first == second
