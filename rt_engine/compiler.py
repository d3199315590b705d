"""From ONNX to a Program, in five steps."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import onnx
import onnx_ir as ir
from numpy.typing import ArrayLike, NDArray

from rt_engine.binding import UNBOUND, Binding
from rt_engine.errors import Reason, UnsupportedModelError
from rt_engine.lower.assemble import assemble
from rt_engine.lower.lower import lower
from rt_engine.lower.resting import uncollected
from rt_engine.lower.work import MOST_AT_LOAD, MOST_IN_A_RUN, units
from rt_engine.passes import run_passes
from rt_engine.passes.bind import bind_shapes
from rt_engine.passes.compilation import Compilation
from rt_engine.passes.sequences import part_names
from rt_engine.program.calls import Lowered
from rt_engine.program.counts import counts_metadata
from rt_engine.program.fixed import fixed_metadata
from rt_engine.program.naming import Naming
from rt_engine.program.program import Program
from rt_engine.read.frontend import NAMING, SHA256, read
from rt_engine.read.source import AnySource, opened
from rt_engine.run.context import Context
from rt_engine.run.executable import Executable


@uncollected()
def compile_model(
    source: AnySource, binding: Binding = UNBOUND, initial: Mapping[str, ArrayLike] | None = None
) -> Program:
    """Read -> passes -> lower -> plan and assemble. Raises what `rt_engine.load` documents."""
    source = opened(source)
    name, model = source.title, read(source)
    with _stopped(name):
        lowered, assumed = _lower(model, name, binding)
        program = assemble(lowered, name, initial)
    meta, metadata = model.meta, dict(model.metadata_props) | fixed_metadata(binding)
    return replace(program.named(meta[NAMING]), metadata=metadata, sha256=meta[SHA256], assumed=assumed)


@uncollected()
def lower_model(source: AnySource, binding: Binding = UNBOUND) -> tuple[Lowered, Naming, tuple[str, ...]]:
    """Read -> passes -> lower: the kernel calls that a Program is made of, for what is generated from them instead.

    Gives also what the outputs mean, and what was assumed of the inputs.

    Raises:
        EngineError: as `rt_engine.load`.
    """
    source = opened(source)
    name, model = source.title, read(source)
    with _stopped(name):
        lowered, assumed = _lower(model, name, binding)
    return lowered, model.meta[NAMING], assumed


def bound_inputs(source: AnySource, binding: Binding = UNBOUND) -> tuple[dict[str, tuple[int, ...]], tuple[str, ...]]:
    """(input -> its static shape, what was assumed) of a model that this engine may not be able to run.

    Raises:
        ModelFileError, InvalidModelError, UnsupportedModelError, ShapeBindingError: as `rt_engine.load`.
    """
    source = opened(source)
    work = Compilation(read(source), binding, source.title, _evaluate)
    bind_shapes(work)
    found = {str(v.name): tuple(int(d) for d in v.shape or ()) for v in work.graph.inputs}  # type: ignore[arg-type]
    return found, (*work.assumed, *work.fixed)


def _lower(model: ir.Model, name: str, binding: Binding) -> tuple[Lowered, tuple[str, ...]]:
    outputs = [str(v.name) for v in model.graph.outputs]
    work = Compilation(model, binding, name, _evaluate, tuple(outputs))
    run_passes(work)
    model.meta[NAMING].notes.extend(work.fixed)
    parts = part_names(model.graph, outputs)
    outputs = [part for name in outputs for part in parts.get(name, (name,))]
    _tell_parts(model, parts)
    model.metadata_props.update(counts_metadata(work.counts))
    outputs += [count for count, _ in work.counts.values()]
    lowered = lower(model.graph, dict(model.opset_imports), name, outputs, binding.state or None)
    _check_work(lowered, name, MOST_IN_A_RUN, "a run")
    return lowered, tuple(work.assumed)


def _check_work(lowered: Lowered, name: str, most: int, what: str) -> None:
    """Loops within loops multiply: a file of a few bytes can ask for years."""
    if units(lowered.calls, lowered.loops) > most:
        why = f"{what} would take very long: its loops and sizes multiply"
        raise UnsupportedModelError(name, [Reason("the whole model", "model", why, "export with fewer iterations")])


def _tell_parts(model: ir.Model, parts: Mapping[str, list[str]]) -> None:
    for name, made in parts.items():
        listed = ", ".join(made[:_SHOWN]) + (f" to {made[-1]}" if len(made) > _SHOWN else "")
        model.meta[NAMING].notes.append(f"output '{name}' is not a sequence, but its tensors: {listed}")


_SHOWN = 5


def _evaluate(model: onnx.ModelProto, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """What passes ask for: a model of a few nodes, compiled and run now."""
    lowered, *_ = lower_model(model)
    _check_work(lowered, "the model", MOST_AT_LOAD, "what is computed when it is loaded")
    context = Context(Executable(assemble(lowered, "the model")))
    context.inputs.update(feeds)
    context.run()
    return [array.copy() for array in context.outputs.values()]


@contextmanager
def _stopped(name: str) -> Iterator[None]:
    try:
        yield
    except _NONSENSE as error:
        what = f"compiling it ended in {type(error).__name__}: {error}"
        help = "ONNX's checker finds no mistake in it; where ONNX Runtime runs it, the mistake is here: report it"
        raise UnsupportedModelError(name, [Reason("the whole model", "model", what, help)]) from error


_NONSENSE = (
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    MemoryError,
    RuntimeError,
)
"""What code that trusts a checked model runs into when a hostile one got through the check."""
