"""The list of passes is data: one that is added runs at its place; what cannot be in order, or breaks what holds, is refused."""

import onnx_ir as ir
import pytest

from benchmarks.models import mlp
from rt_engine.binding import UNBOUND
from rt_engine.passes import PASSES, Pass, check_order, run_passes
from rt_engine.passes.compilation import Compilation
from rt_engine.passes.facts import Fact


def compilation() -> Compilation:
    """Of a small network with tanh."""
    model = ir.serde.deserialize_model(mlp([3, 5, 2], "Tanh"))
    return Compilation(model, UNBOUND, "mlp", lambda model, inputs: pytest.fail("nothing is folded"))


def operators(*passes: Pass) -> list[str]:
    """Of the graph behind the passes."""
    work = compilation()
    run_passes(work, passes)
    return [node.op_type for node in work.graph]


def sigmoid_for_tanh(work: Compilation) -> bool:
    found = [node for node in work.graph if node.op_type == "Tanh"]
    for node in found:
        node.op_type = "Sigmoid"
    return bool(found)


def without_shapes(work: Compilation) -> bool:
    for node in work.graph:
        node.outputs[0].shape = None
    return True


def out_of_nowhere(work: Compilation) -> bool:
    work.graph[0].replace_input_with(0, ir.Value(name="nowhere"))
    return True


def test_a_pass_that_is_added_runs():
    added = Pass("sigmoid for tanh", sigmoid_for_tanh, (Fact.STATIC,))
    before = operators(*PASSES)
    assert "Tanh" in before
    assert operators(*PASSES, added) == [name.replace("Tanh", "Sigmoid") for name in before]


def test_a_pass_without_what_it_requires_is_refused():
    check_order(PASSES)
    with pytest.raises(
        AssertionError, match="'early' needs that every value that a node makes has a type and a static shape"
    ):
        check_order((Pass("early", sigmoid_for_tanh, (Fact.STATIC,)), *PASSES))


@pytest.mark.parametrize(
    ("change", "words"),
    [(without_shapes, "'harm': not true that every value"), (out_of_nowhere, r"'harm': node .* reads \['nowhere'\]")],
)
def test_a_pass_that_breaks_what_holds_is_seen(change, words):
    with pytest.raises(AssertionError, match=words):
        operators(*PASSES, Pass("harm", change))
