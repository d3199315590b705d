"""From ONNX to a Program, in five steps."""

from collections.abc import Mapping
from pathlib import Path

import onnx

from rt_engine.frontend import read
from rt_engine.lower import lower
from rt_engine.passes import run_passes
from rt_engine.program import Program, assemble


def compile_model(
    source: str | Path | bytes | onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]] | None = None
) -> Program:
    """Read -> passes -> lower -> plan and assemble. Raises what `rt_engine.load` documents."""
    name = str(source) if isinstance(source, str | Path) else "the model"
    model = read(source)
    run_passes(model, dict(shapes or {}), name)
    lowered = lower(model.graph, dict(model.opset_imports), name)
    return assemble(lowered)
