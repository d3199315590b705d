"""Graph passes: a plain tuple, run in order; the graph is verified after each.

A pass is a function `(Context) -> bool` that changes `context.model` in place and says whether it did. Each file states
what its pass requires and ensures.
"""

from collections.abc import Callable

import onnx_ir as ir

from rt_engine.errors import Reason, ShapeBindingError, UnsupportedModelError
from rt_engine.passes.attention import fuse_attention
from rt_engine.passes.bind import bind_shapes
from rt_engine.passes.channels_last import channels_last
from rt_engine.passes.clean import clean, inline_functions
from rt_engine.passes.closing import close_subgraphs, scopes
from rt_engine.passes.compilation import Compilation
from rt_engine.passes.convolution import fuse_convolutions
from rt_engine.passes.linear import fuse_linear
from rt_engine.passes.microsoft import standard_quantised
from rt_engine.passes.norms import fuse_norms
from rt_engine.passes.patterns import fuse_patterns
from rt_engine.passes.quantised import fuse_quantised
from rt_engine.passes.specialise import fold_rest, specialise, unknown_operators
from rt_engine.passes.storage import widen_halves
from rt_engine.passes.transposed import fuse_into_phases

Pass = Callable[[Compilation], bool]

PASSES: tuple[tuple[str, Pass], ...] = (
    ("inline model-local functions", inline_functions),
    ("close the bodies of control flow", close_subgraphs),
    ("standard forms of quantised operators", standard_quantised),
    ("bind symbolic dimensions", bind_shapes),
    ("infer shapes, fold constants", specialise),
    ("remove identities and dead code", clean),
    ("fuse integer operators", fuse_quantised),
    ("fold dequantised constants", fold_rest),
    ("remove dead code", clean),
    ("compute half floats in float32", widen_halves),
    ("fuse activation patterns", fuse_patterns),
    ("fuse normalisation", fuse_norms),
    ("fuse attention", fuse_attention),
    ("channels last", channels_last),
    ("fuse into transposed convolutions", fuse_into_phases),
    ("fuse convolutions", fuse_convolutions),
    ("fuse linear layers", fuse_linear),
    ("remove dead code", clean),
)


_WHOLE: tuple[Pass, ...] = (inline_functions, close_subgraphs, bind_shapes, specialise)
"""Passes that see to bodies themselves; all others are run on the model's graph and then on each body."""


def run_passes(compilation: Compilation) -> None:
    """Run all passes on the model, in place.

    Raises:
        UnsupportedModelError, InvalidModelError, ShapeBindingError: as `rt_engine.load`.
    """
    model = compilation.model
    for name, change in PASSES:
        try:
            bodies = [] if change in _WHOLE else list(scopes(model.graph))[1:]
            changed = any([change(compilation), *(change(compilation.within(body)) for body in bodies)])
        except (ShapeBindingError, UnsupportedModelError) as error:
            if change is bind_shapes:
                _refuse_unknown_too(compilation, error)
            raise
        if changed:
            for graph in scopes(model.graph):
                verify(graph, name)


def _refuse_unknown_too(compilation: Compilation, error: ShapeBindingError | UnsupportedModelError) -> None:
    """Where inputs cannot be bound and operators are unknown, say both: mending the inputs alone would not help."""
    found = [reason for _, reason in unknown_operators(compilation)]
    if found:
        inputs = getattr(error, "reasons", (Reason("the whole model", "input", str(error)),))
        raise UnsupportedModelError(compilation.source, [*inputs, *found]) from error


def verify(graph: ir.Graph, after: str) -> None:
    """Our own invariants: every value that a node reads is an input, a constant, or made by an earlier node."""
    known = set(graph.inputs) | set(graph.initializers.values())
    for node in graph:
        missing = [v.name for v in node.inputs if v is not None and v not in known]
        assert not missing, f"after pass '{after}': node {node.name} reads {missing} before they are made"
        known.update(node.outputs)
    assert all(v in known for v in graph.outputs), f"after pass '{after}': an output is made by nobody"
