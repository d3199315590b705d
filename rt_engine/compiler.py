"""From ONNX to a Program, in five steps."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import onnx
from numpy.typing import ArrayLike

from rt_engine.assemble import assemble
from rt_engine.errors import InvalidModelError
from rt_engine.frontend import NAMING, read
from rt_engine.lower import lower
from rt_engine.passes import run_passes
from rt_engine.program import Program


def compile_model(
    source: str | Path | bytes | onnx.ModelProto,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    state: Mapping[str, str] | None = None,
    initial: Mapping[str, ArrayLike] | None = None,
) -> Program:
    """Read -> passes -> lower -> plan and assemble. Raises what `rt_engine.load` documents."""
    name = str(source) if isinstance(source, str | Path) else "the model"
    model = read(source)
    outputs = [str(v.name) for v in model.graph.outputs]
    try:
        run_passes(model, dict(shapes or {}), name)
        lowered = lower(model.graph, dict(model.opset_imports), name, outputs, state)
        return replace(assemble(lowered, name, initial), naming=model.meta[NAMING], metadata=dict(model.metadata_props))
    except _NONSENSE as error:
        what = f"{type(error).__name__}: {error}"
        raise InvalidModelError(f"{name} contradicts itself where ONNX's checker does not look: {what}") from error


_NONSENSE = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, AssertionError, MemoryError)
"""What code that trusts a checked model runs into when a hostile one got through the check."""
