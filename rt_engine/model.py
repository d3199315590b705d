"""A loaded model: what scripts, tests and tasks hold."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rt_engine.errors import InputError, ProgramFileError, ShapeBindingError, StateError
from rt_engine.kernels.interface.abi import KERNEL_PREFIX
from rt_engine.program.program import NodeCost, Program, TensorSpec
from rt_engine.program.rtp_file import read
from rt_engine.read.source import AnySource, opened
from rt_engine.run.context import Context
from rt_engine.run.executable import Executable
from rt_engine.run.native import KERNELS
from rt_engine.state import initial_values
from rt_native.library import Library


@dataclass(frozen=True, slots=True)
class Report:
    """What a model costs, per node and in all. `str()` of it is a table."""

    nodes: tuple[NodeCost, ...]
    macs: int
    weight_bytes: int
    arena_bytes: int
    arena_lower_bound: int
    notes: tuple[str, ...] = ()
    """What the outputs mean, where it is not what the file says."""

    def __str__(self) -> str:
        head = ("node", "operator", "output", "MACs", "weight bytes", "arena bytes", "kernels")
        rows = [
            (
                n.name,
                n.operator,
                n.output,
                f"{n.macs:,}",
                f"{n.weight_bytes:,}",
                f"{n.arena_bytes:,}",
                " ".join(n.kernels) or "-",
            )
            for n in self.nodes
        ]
        rows.append(("total", "", "", f"{self.macs:,}", f"{self.weight_bytes:,}", f"{self.arena_bytes:,}", ""))
        widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
        lines = [
            "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)
        ]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


class Model:
    """An immutable compiled model, shareable between tasks and threads."""

    def __init__(self, program: Program, name: str = "", library: Library = KERNELS) -> None:
        self.program, self.name = program, name
        self._executable = Executable(program, library)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Name, shape and type of each input."""
        return tuple(p.spec for p in self.program.inputs)

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Name, shape and type of each output."""
        return tuple(p.spec for p in self.program.outputs)

    @property
    def state(self) -> tuple[TensorSpec, ...]:
        """Name, shape and type of each input that a context carries from run to run."""
        return tuple(p.spec for p in self.program.state)

    @property
    def classes(self) -> Mapping[str, tuple[Any, ...]]:
        """Output name -> its classes: for a label that is an index, the names; for scores, what the columns stand for.

        Only outputs whose form in the file was strings, or a list of dictionaries (ZipMap), are here.
        """
        return dict(self.program.naming.classes)

    @property
    def metadata(self) -> Mapping[str, str]:
        """What the model's author wrote into it, by key (ONNX: `metadata_props`)."""
        return dict(self.program.metadata)

    @property
    def sha256(self) -> str:
        """Of the file that it was loaded from, in hexadecimal: see docs/security.md. Empty for a `ModelProto`."""
        return self.program.sha256

    @property
    def notes(self) -> tuple[str, ...]:
        """What the outputs mean, where it is not what the file says, in words."""
        return tuple(self.program.naming.notes)

    def context(self) -> Context:
        """A private context: one for each task or thread."""
        return Context(self._executable)

    def run(self, feeds: Mapping[str, ArrayLike]) -> list[NDArray[Any]]:
        """Run once, in a context of its own; gives copies of the outputs in their order. For scripts and tests.

        Args:
            feeds: input name -> array of the input's shape; floats are rounded to its type, integers are converted
                where no value changes.
                A state may be fed too, else it is at its initial value.

        Raises:
            InputError: a name is unknown or missing, or a shape or type does not fit.
            RunError: a kernel ended with a status.
        """
        context = self.context()
        unknown = set(feeds) - set(context.inputs) - set(context.state)
        missing = set(context.inputs) - set(feeds)
        if unknown or missing:
            wrong = [f"unknown input '{n}'" for n in sorted(unknown)] + [
                f"missing input '{n}'" for n in sorted(missing)
            ]
            raise InputError(f"{', '.join(wrong)}; the model takes {', '.join(map(str, self.inputs)) or 'no inputs'}")
        for spec in self.inputs:
            array = np.asarray(feeds[spec.name])
            if array.shape != spec.shape or not _fits(array, spec.dtype):
                raise InputError(
                    f"input '{spec.name}' takes {spec.dtype}{list(spec.shape)}, got {array.dtype}{list(array.shape)}"
                )
            if array.dtype.kind in "iu" and spec.dtype.kind in "iu" and (array != array.astype(spec.dtype)).any():
                raise InputError(
                    f"input '{spec.name}' takes {spec.dtype}, got numbers from {array.min()} to {array.max()}, which it "
                    f"cannot hold; scale or clip them"
                )
            context.inputs[spec.name][...] = array
        context.restore(context.save() | {name: feeds[name] for name in context.state if name in feeds})
        context.run()
        return [y.copy() for y in context.outputs.values()]

    def report(self) -> Report:
        """Per node: shape, multiply-accumulates, weight bytes, arena bytes, kernels."""
        p = self.program
        return Report(
            p.nodes, sum(n.macs for n in p.nodes), p.weight_nbytes, p.arena_nbytes, p.arena_lower_bound, self.notes
        )

    def __repr__(self) -> str:
        ends = [", ".join(map(str, specs)) for specs in (self.inputs, self.outputs)]
        return f"<Model {self.name or '?'}: ({ends[0]}) -> ({ends[1]})>"


def _fits(array: NDArray[Any], dtype: np.dtype[Any]) -> bool:
    """Same type; or Python numbers, which NumPy makes float64 or int64."""
    return array.dtype == dtype or np.can_cast(array.dtype, dtype, "same_kind")


def load(
    source: AnySource,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    *,
    state: Mapping[str, str] | None = None,
    initial: Mapping[str, ArrayLike] | None = None,
    library: Library = KERNELS,
) -> Model:
    """Load an ONNX model and compile it to a program for any machine, or a compiled program, bound to this machine's kernels.

    Args:
        source: path of an .onnx or .rtp file, its bytes, a `ModelProto`, or what `rt_engine.read.source.opened` gave. A file is
            read once.
        shapes: input name -> static shape, for inputs with symbolic dimensions. Unbound first dimensions become 1.
        state: output name -> name of the input that it is in the next run. The input is no input of the caller's any more
            but a state of each context (`Context.state`).
        initial: state (input name) -> the array it starts at; by default zeros, or what the compiled program says.
        library: kernels to run it with; another lane width than the machine's own is for tests.

    A compiled program has its shapes and states; they may be given again, but not be others.

    Raises:
        ModelFileError, InvalidModelError, UnsupportedModelError, ShapeBindingError, StateError, InputError: see `rt_engine.errors`.
    """
    source = opened(source)
    name = Path(source.name).stem or "model"
    if source.is_program:
        assert isinstance(source.data, bytes)
        program, title = read(source.data, source.title), source.title
        _check_kernels(program, title, library)
        _check_bound(program, title, shapes or {}, state or {})
        if initial:
            specs = [place.spec for place in program.state]
            given = {spec.name: value for spec, value in zip(specs, program.initial, strict=True)} | dict(initial)
            program = replace(program, initial=tuple(initial_values(specs, given).values()))
        return Model(program, name, library)
    from rt_engine.compiler import compile_model

    return Model(compile_model(source, shapes, state, initial), name, library)


def _check_kernels(program: Program, title: str, library: Library) -> None:
    """Raise ProgramFileError for kernels that the library does not have."""
    exports = library.exports
    missing = [name for name in program.kernels if exports.get(KERNEL_PREFIX + name) != 2]
    if missing:
        raise ProgramFileError(
            f"{title} needs kernels that this version does not have: {', '.join(map(repr, missing[:5]))}; compile the model again "
            f"with `rt-engine compile`, or run it with the version that compiled it"
        )


def _check_bound(program: Program, title: str, shapes: Mapping[str, tuple[int, ...]], state: Mapping[str, str]) -> None:
    """Raise unless the shapes and states that are asked for are those that the program was compiled with."""
    compiled = {place.spec.name: place.spec.shape for place in (*program.inputs, *program.state)}
    for name, shape in shapes.items():
        if compiled.get(name) != tuple(shape):
            there = f"{list(compiled[name])}" if name in compiled else "no such input"
            raise ShapeBindingError(
                f"input '{name}' is to have the shape {list(shape)}; {title} was compiled with {there}: compile it with "
                f"--shape {name}={','.join(map(str, shape))}"
            )
    states = {place.spec.name for place in program.state}
    outputs = {place.spec.name for place in program.outputs}
    if state and not (set(state.values()) == states and set(state) <= outputs):
        wanted = " ".join(f"--state {output}={name}" for output, name in state.items())
        raise StateError(
            f"{title} was compiled with the states {', '.join(sorted(states)) or 'none'}; compile it with {wanted}"
        )
