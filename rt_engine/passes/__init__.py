"""Graph passes: plain data, run in order; after each change the graph is verified, and every fact that was ensured so far.

A pass is a function `(Compilation) -> bool` that changes the graph in place and says whether it did. What it requires and ensures
stands here; the order is refused where a requirement is not met.
"""

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir

from rt_engine.errors import Reason, ShapeBindingError, UnsupportedModelError
from rt_engine.ops.control import bodies
from rt_engine.passes.attention import fuse_attention
from rt_engine.passes.bind import bind_shapes
from rt_engine.passes.channels_last import channels_last
from rt_engine.passes.clean import clean, inline_functions
from rt_engine.passes.closing import close_subgraphs, is_control, scopes
from rt_engine.passes.compilation import Compilation
from rt_engine.passes.convolution import fuse_convolutions
from rt_engine.passes.facts import Fact, wrong
from rt_engine.passes.integers import fuse_integer_products
from rt_engine.passes.linear import fuse_linear
from rt_engine.passes.norms import fuse_norms
from rt_engine.passes.patterns import fuse_patterns
from rt_engine.passes.quantised import fuse_quantised
from rt_engine.passes.specialise import fold_rest, specialise, unknown_operators
from rt_engine.passes.storage import widen_halves
from rt_engine.passes.transposed import fuse_into_phases

Facts = tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass: what it does in words, the function, what must hold before it and holds from it on."""

    name: str
    change: Callable[[Compilation], bool]
    requires: Facts = ()
    ensures: Facts = ()
    whole: bool = False
    """It sees to bodies itself; all others are run on the model's graph and then on each body."""


_STATIC = (Fact.STATIC,)

PASSES: tuple[Pass, ...] = (
    Pass("inline model-local functions", inline_functions, ensures=(Fact.NO_FUNCTIONS,), whole=True),
    Pass("close the bodies of control flow", close_subgraphs, (Fact.NO_FUNCTIONS,), whole=True),
    Pass("bind symbolic dimensions", bind_shapes, ensures=(Fact.BOUND,), whole=True),
    Pass("infer shapes, fold constants", specialise, (Fact.BOUND,), (Fact.STATIC, Fact.CLOSED), whole=True),
    Pass("remove identities and dead code", clean, _STATIC),
    Pass("fuse integer operators", fuse_quantised, _STATIC),
    Pass("fuse products of dynamically quantised tensors", fuse_integer_products, _STATIC),
    Pass("remove dead code", clean, _STATIC),
    Pass("fold dequantised constants", fold_rest, _STATIC),
    Pass("compute half floats in float32", widen_halves, _STATIC, (Fact.HALVES_STORED,)),
    Pass("fuse activation patterns", fuse_patterns, _STATIC),
    Pass("fuse normalisation", fuse_norms, _STATIC),
    Pass("fuse attention", fuse_attention, _STATIC),
    Pass("channels last", channels_last, _STATIC),
    Pass("fuse into transposed convolutions", fuse_into_phases, _STATIC),
    Pass("fuse convolutions", fuse_convolutions, _STATIC),
    Pass("fuse linear layers", fuse_linear, _STATIC),
    Pass("remove dead code", clean, _STATIC),
)
"""Integer operators are fused before the rest is folded: they want dequantised constants as integers, and what they took is dead by
then. Convolutions are fused where `channels last` has put them."""


def check_order(passes: tuple[Pass, ...]) -> None:
    """Our own invariant: what a pass requires, an earlier one ensures."""
    known: set[Fact] = set()
    for one in passes:
        missing = set(one.requires) - known
        assert not missing, f"pass '{one.name}' needs that {' and '.join(f.value for f in missing)}"
        known.update(one.ensures)


check_order(PASSES)


def run_passes(compilation: Compilation, passes: tuple[Pass, ...] = PASSES) -> None:
    """Run all passes on the model, in place.

    Raises:
        UnsupportedModelError, InvalidModelError, ShapeBindingError: as `rt_engine.load`.
    """
    known: Facts = ()
    graphs = list(scopes(compilation.model.graph))
    for one in passes:
        try:
            bodies = [] if one.whole else graphs[1:]
            changed = any([one.change(compilation), *(one.change(compilation.within(body)) for body in bodies)])
        except (ShapeBindingError, UnsupportedModelError) as error:
            if one.change is bind_shapes:
                _refuse_unknown_too(compilation, error)
            raise
        known += one.ensures
        if changed:
            graphs = list(scopes(compilation.model.graph))
            verify(graphs[0], one.name)
        for fact in known if changed else one.ensures:
            found = [words for graph in graphs for words in wrong(fact, compilation.model, graph)]
            assert not found, f"after pass '{one.name}': not true that {fact.value}: {', '.join(found[:3])}"


def _refuse_unknown_too(compilation: Compilation, error: ShapeBindingError | UnsupportedModelError) -> None:
    """Where inputs cannot be bound and operators are unknown, say both: mending the inputs alone would not help."""
    found = [reason for _, reason in unknown_operators(compilation)]
    if found:
        if isinstance(error, ShapeBindingError):
            help = "bind them with numbers, as shapes"
            inputs: tuple[Reason, ...] = (Reason("the whole model", "input", error.why, help),)
        else:
            inputs = error.reasons
        raise UnsupportedModelError(compilation.source, [*inputs, *found]) from error


def verify(graph: ir.Graph, after: str, outside: tuple[set[ir.Value], ...] = ()) -> None:
    """Our own invariants: every value that a node reads is an input, a constant, or made by an earlier node.

    A body that is not closed yet sees what is known `outside`, where its node stands.
    """
    known = set(graph.inputs) | set(graph.initializers.values())
    scopes = (*outside, known)
    for node in graph:
        missing = [v.name for v in node.inputs if v is not None and not any(v in scope for scope in scopes)]
        assert not missing, f"after pass '{after}': node {node.name} reads {missing} before they are made"
        for body in bodies(node):
            verify(body, after, () if is_control(node) else scopes)
        known.update(node.outputs)
    made = all(any(v in scope for scope in scopes) for v in graph.outputs)
    assert made, f"after pass '{after}': an output is made by nobody"
