"""A loaded model: what scripts, tests and tasks hold."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rt_engine.binding import Binding, binding
from rt_engine.contract.file import of_program
from rt_engine.contract.terms import Contract
from rt_engine.errors import InputError, ProgramFileError, ShapeBindingError, StateError
from rt_engine.kernels.interface.abi import KERNEL_PREFIX
from rt_engine.program.counts import counts_of
from rt_engine.program.fixed import other_fixed
from rt_engine.program.program import NodeCost, Program, TensorSpec
from rt_engine.program.rtp_file import AGAIN, read
from rt_engine.read.source import BYTES, AnySource, opened
from rt_engine.run.batch import Progress, run_batch, stacked
from rt_engine.run.context import Context
from rt_engine.run.executable import Executable
from rt_engine.run.native import KERNELS
from rt_engine.run.team import checked_threads, with_helpers
from rt_engine.state import check_states, initial_values
from rt_native.cores import cores
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
    """As `Model.notes`."""

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

    def __init__(self, program: Program, name: str = "", library: Library = KERNELS, threads: int = 1) -> None:
        self.program, self.name, self.threads = program, name, threads
        self._executable = Executable(program, library)
        self._idle: list[Context] = []
        self._single = self._idle if threads == 1 else []
        self._contract: tuple[Contract | None] | None = None

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
    def categories(self) -> Mapping[str, tuple[str, ...]]:
        """Input name -> its names, where the file has strings and the program their indices: `run`, `map` and contexts take either.

        A name that is not among them is -1, and is to every operator what a string that it does not know is in the file.
        """
        return dict(self.program.naming.categories)

    @property
    def counts(self) -> Mapping[str, tuple[str, int]]:
        """Output whose length is only known at run time -> (the output that says how many there are, along which axis)."""
        return counts_of(self.program.metadata)

    @property
    def metadata(self) -> Mapping[str, str]:
        """What the model's author wrote into it, by key (ONNX: `metadata_props`)."""
        return dict(self.program.metadata)

    @property
    def contract(self) -> Contract | None:
        """What the model says about itself: names, units, ranges, rate, ... (`rt_engine.contract`); None: it says nothing.

        It is read when it is first asked for: a model whose contract is broken loads and runs as any other.

        Raises:
            ContractError: the contract cannot be read, or contradicts the model.
        """
        if self._contract is None:
            self._contract = (of_program(self.program, self.name or "the model"),)
        return self._contract[0]

    @property
    def sha256(self) -> str:
        """Of the file that it was loaded from, in hexadecimal: see docs/security.md. Empty for a `ModelProto`."""
        return self.program.sha256

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know, in words: sizes that were assumed, what outputs mean where it is not what the file says."""
        return (*self.program.assumed, *self.program.naming.notes)

    def context(self, threads: int | None = None) -> Context:
        """A private context: one for each task or thread.

        Args:
            threads: how many run it together, the same bits; by default as many as the model was loaded for. With more than one it
                has helper threads of its own, which end with it. A task has its own helpers (`Task.threads`), whatever it is here.

        Raises:
            InputError: less than 1, or more than 8.
        """
        count, context = self.threads if threads is None else threads, Context(self._executable)
        return context if count == 1 else with_helpers(context, count)

    def run(self, feeds: Mapping[str, ArrayLike]) -> list[NDArray[Any]]:
        """Run once, in a context that the model keeps for this; gives copies of the outputs in their order. For scripts and tests.

        Any number of threads may run a model at once: the computation itself does not hold the interpreter.

        Args:
            feeds: input name -> array of the input's shape; floats are rounded to its type, integers are converted
                where no value changes. Where the file has strings (`categories`), names or their indices.
                A state may be fed too, else it is at its initial value.

        Raises:
            InputError: a name is unknown or missing, or a shape or type does not fit.
            RunError: a kernel ended with a status.
        """
        context = self._lent()
        try:
            context.inputs.assign(self._without_states(context, feeds) if self.program.state else feeds, "input")
            context.run()
            return list(map(np.ndarray.copy, context.outputs.values()))
        except InputError as error:
            if self._are_samples(feeds):
                raise InputError(f"{error}; for many samples there is `model.map`") from None
            raise
        finally:
            self._idle.append(context)

    def map(
        self, samples: Mapping[str, ArrayLike], *, threads: int | None = None, progress: Progress | None = None
    ) -> list[NDArray[Any]]:
        """Run on many samples; gives for each output, in their order, an array of what `run` gives for each sample, the same bits.

        The samples are spread over the cores, and the interpreter is free meanwhile. A model with state runs them as one
        sequence instead, on one core: from its initial state on, as a task would from cycle to cycle.

        Args:
            samples: input name -> [samples, *shape]; where the input's shape begins with 1, a batch of one, also
                [samples, *rest]: then outputs lose their batch of one too.
            threads: how many; by default as many as there are cores that this process may use.
            progress: called in this thread with (samples done, samples in all), every tenth of a second and at the end.

        Raises:
            InputError: a name is unknown or missing, a shape or type does not fit, or inputs have different numbers of samples.
            RunError: a kernel ended with a status; it is that of the first such sample, `.sample`.
        """
        count = 1 if self.program.state else cores() if threads is None else threads
        if count < 1:
            raise InputError(f"{count} threads cannot run a model; ask for 1 or more")
        return run_batch(samples, self.inputs, self.outputs, self._borrowed, count, progress)

    def _are_samples(self, feeds: Any) -> bool:
        try:
            return bool(stacked(feeds, self.inputs))
        except InputError:
            return False

    def _lent(self) -> Context:
        """A context of those that are kept for `run`; one more where all are in use. It goes back to `_idle`."""
        try:
            return self._idle.pop()
        except IndexError:
            return self.context()

    @contextmanager
    def _borrowed(self) -> Iterator[Context]:
        """A context for one of the threads of `map`: each runs samples of its own, on one core."""
        try:
            context = self._single.pop()
        except IndexError:
            context = self.context(1)
        try:
            context.reset()
            yield context
        finally:
            self._single.append(context)

    def _without_states(self, context: Context, feeds: Any) -> Any:
        """The inputs among the feeds; the states are put into the context."""
        context.reset()
        if not isinstance(feeds, Mapping):
            return feeds
        fed = {name: feeds[name] for name in context.state if name in feeds}
        context.state.assign(context.save() | fed, "state")
        return {name: value for name, value in feeds.items() if name not in fed}

    def report(self) -> Report:
        """Per node: shape, multiply-accumulates, weight bytes, arena bytes, kernels."""
        p = self.program
        return Report(
            p.nodes, sum(n.macs for n in p.nodes), p.weight_nbytes, p.arena_nbytes, p.arena_lower_bound, self.notes
        )

    def __copy__(self) -> "Model":
        return self

    def __deepcopy__(self, memo: Any) -> "Model":
        return self  # nothing of it changes

    def __reduce__(self) -> tuple[Any, ...]:
        """By the bytes of its program: on another machine, or with another library, it takes the kernels that are there."""
        from rt_engine.program.rtp_writer import to_bytes

        return _unpickled, (to_bytes(self.program), self.name, self.sha256, self.threads)

    def __repr__(self) -> str:
        ends = [", ".join(map(str, specs)) for specs in (self.inputs, self.outputs)]
        return f"<Model {self.name or '?'}: ({ends[0]}) -> ({ends[1]})>"


def _unpickled(data: bytes, name: str, sha256: str, threads: int = 1) -> Model:
    return Model(replace(load(data).program, sha256=sha256), name, threads=threads)


def load(
    source: AnySource | Any,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    *,
    example: Any = None,
    state: Mapping[str, str] | None = None,
    initial: Mapping[str, ArrayLike] | None = None,
    values: Mapping[str, ArrayLike] | None = None,
    bounds: Mapping[str, int] | None = None,
    threads: int = 1,
    library: Library = KERNELS,
) -> Model:
    """Load an ONNX model and compile it to a program for any machine, or a compiled program, bound to this machine's kernels.

    Args:
        source: path of an .onnx or .rtp file, its bytes, a `ModelProto`, or what `rt_engine.read.source.opened` gave. A file is
            read once. With an `example`, a PyTorch module or an estimator or pipeline of scikit-learn.
        shapes: input name -> static shape, for inputs with symbolic dimensions. A name bound here is bound everywhere. Unbound
            first dimensions become 1, and `Model.notes` says so.
        example: what a PyTorch module or a scikit-learn estimator is called with: it is exported to ONNX with it, in evaluation
            mode. A tensor or array, for PyTorch also a tuple of several or a dictionary by parameter name. The inputs of a
            module get these shapes and types; an estimator takes one row of this type at a time.
        state: output name -> name of the input that it is in the next run. The input is no input of the caller's any more
            but a state of each context (`Context.state`).
        initial: state (input name) -> the array it starts at; by default zeros, or what the compiled program says.
        values: input name -> what it always is, such as the sample rate of a speech model: the input becomes a constant, what
            follows from it is computed now, and it is no input any more.
        bounds: name of a tensor, a node or a symbolic dimension -> the most that a length can be that is known at run time only.
        threads: how many run it together where a context is made, the same bits: for models that take longer than about 50 us.
        library: kernels to run it with; another lane width than the machine's own is for tests.

    A compiled program has its shapes, states, values and bounds; they may be given again, but not be others.

    Raises:
        ModelFileError, InvalidModelError, UnsupportedModelError, ShapeBindingError, StateError, InputError: see `rt_engine.errors`.
    """
    bound = binding(shapes, state, values, bounds)
    if example is not None:
        from rt_engine.read.exporters import exported

        source = exported(source, example)
    source = opened(source)
    name = Path(source.name).stem or "model"
    if source.is_program:
        assert isinstance(source.data, BYTES)
        program, title = read(source.data, source.title), source.title
        checked_program(program, title, library)
        _check_bound(program, title, bound)
        if initial is not None:
            check_states(initial)
            specs = [place.spec for place in program.state]
            given = {spec.name: value for spec, value in zip(specs, program.initial, strict=True)} | dict(initial)
            program = replace(program, initial=tuple(initial_values(specs, given).values()))
        return Model(program, name, library, checked_threads(threads))
    from rt_engine.compiler import compile_model

    return Model(compile_model(source, bound, initial), name, library, checked_threads(threads))


def checked_program(program: Program, title: str, library: Library = KERNELS) -> Program:
    """The program; raises ProgramFileError for kernels that the library does not have."""
    library.need(KERNEL_PREFIX + name for name in program.kernels)
    exports = library.exports
    missing = [name for name in program.kernels if exports.get(KERNEL_PREFIX + name) != 2]
    if missing:
        raise ProgramFileError(
            f"{title} needs kernels that this version does not have: {', '.join(map(repr, missing[:5]))}; {AGAIN}"
        )
    return program


def _check_bound(program: Program, title: str, bound: Binding) -> None:
    """Raise unless what is asked for is what the program was compiled with."""
    shapes, state = bound.shapes, bound.state
    compiled = {place.spec.name: place.spec.shape for place in (*program.inputs, *program.state)}
    for name, shape in shapes.items():
        if compiled.get(name) != tuple(shape):
            there = f"{list(compiled[name])}" if name in compiled else "no such input"
            raise ShapeBindingError(
                f"input '{name}' is to have the shape {list(shape)}; {title} was compiled with {there}: compile it with "
                f"--shape {name}={','.join(map(str, shape))}"
            )
    if difference := other_fixed(program.metadata, bound):
        raise ShapeBindingError(f"{title} was compiled {difference}")
    states = {place.spec.name for place in program.state}
    outputs = {place.spec.name for place in program.outputs}
    if state and not (set(state.values()) == states and set(state) <= outputs):
        wanted = " ".join(f"--state {output}={name}" for output, name in state.items())
        raise StateError(
            f"{title} was compiled with the states {', '.join(sorted(states)) or 'none'}; compile it with {wanted}"
        )
