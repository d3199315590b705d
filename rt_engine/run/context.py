"""A context: the private memory in which one task runs a shared program."""

import ctypes
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rt_engine.errors import InputError, RunError
from rt_engine.kernels.interface.dtypes import CODE
from rt_engine.kernels.interface.record import ARENA_HEADER
from rt_engine.program.program import Place, TensorSpec
from rt_engine.run.blocks import BLOCK, STATE, STATES_HEAD
from rt_engine.run.executable import Executable
from rt_engine.run.fanned import STANDING, Fanned
from rt_engine.run.tensors import Tensors
from rt_engine.state import check_states, from_bytes, initial_values
from rt_native.memory import Block


def _kept_finite(initial: NDArray[Any]) -> int:
    """The number of a state's type; 0 where it begins with a NaN or an infinity: then that is meant."""
    is_float = initial.dtype.kind == "f"
    return int(CODE[initial.dtype]) if is_float and np.isfinite(initial).all() else 0


class Context:
    """An arena for one program, with views of its inputs and outputs. Not to be run by two threads at once.

    Writing `context.inputs["x"][...]` is the whole cost of passing an input; inputs keep their values from run to run.
    """

    __slots__ = (
        "__weakref__", "_arena", "_argument", "_block", "_executable", "_fanned", "_fields", "_inputs", "_kept", "_outputs", "_run",
        "_state", "_states", "_tensors",
        "block_address", "execute_address",
    )  # fmt: skip

    def __init__(self, executable: Executable) -> None:
        program = executable.program
        self._executable = executable
        self._fanned: Fanned | None = None
        self._arena = Block(program.arena_nbytes)
        self._arena.view(ARENA_HEADER)["weights"] = program.weights.address
        self._block = Block(BLOCK.itemsize)
        self._fields = self._block.view(BLOCK)
        self._inputs = Tensors({p.spec.name: self._view(p) for p in program.inputs}, program.naming.categories)
        self._outputs = Tensors({p.spec.name: self._view(p) for p in program.outputs})
        self._state = Tensors({p.spec.name: self._view(p) for p in program.state})
        self.reset()
        addresses = [self._arena.address + p.offset for p in (*program.inputs, *program.outputs)]
        self._tensors = Block(8 * len(addresses))
        self._tensors.view(np.int64, 0, len(addresses))[:] = addresses
        self._states = self._table_of_states()
        block: dict[str, int] = {
            "arena": self._arena.address,
            "records": executable.records.ctypes.data,
            "count": len(program.records),
            "table": executable.table.address,
            "tensors": self._tensors.address,
            "states": self._states.address if program.state else 0,
        }
        for name, value in block.items():
            self._fields[name] = value
        self.block_address = self._block.address
        """Address of the execution block, for native code."""
        self._kept: dict[str, Block] = {}
        self._argument = ctypes.c_int64(self.block_address)  # a third faster than to make one for each call
        self._run = executable.execute
        self.execute_address = executable.execute_address
        """Address of the function that runs the block, for native code."""

    def _join(self, threads: int, team: int, line_ns: float) -> bool:
        """From the next run on work with a team's helpers (`run.team`); False, and nothing changes, where that would not pay."""
        if "slices" not in self._kept:  # else its records are laid out for threads already
            of = self._executable
            self._lay(None if of.is_too_far(threads, line_ns) else of.fanned(threads))
        if self._fanned is None:
            return False
        self._arena.view(ARENA_HEADER)["spare"][0, 0] = team
        return True

    def _lay(self, found: Fanned | None) -> None:
        """Run these records of the program from the next run on; None: those of one core."""
        self._fanned = found.joined(self._arena.address) if found else None
        of = self._fanned or self._executable
        self._fields["records"], self._fields["table"] = of.records.ctypes.data, of.table.address

    @property
    def shared(self) -> float:
        """How much of a run is cut for several threads, 0 to 1, as far as sizes say; 0: it runs on one core."""
        return self._fanned.share if self._fanned else 0.0

    def _table_of_states(self) -> Block:
        """Where native code finds each state, and what it begins with."""
        program = self._executable.program
        sizes = [initial.nbytes for initial in program.initial]
        head = STATES_HEAD + STATE.itemsize * len(sizes)
        block = Block(head + sum(sizes))
        block.view(np.int64)[0] = len(sizes)
        rows, at = block.view(STATE, STATES_HEAD, len(sizes)), head
        for row, place, initial, size in zip(rows, program.state, program.initial, sizes, strict=True):
            block.view(np.uint8, at, size)[:] = np.ascontiguousarray(initial).reshape(-1).view(np.uint8)
            row["address"], row["initial"] = self._arena.address + place.offset, block.address + at
            row["nbytes"], row["dtype"] = size, _kept_finite(initial)
            at += size
        return block

    def _view(self, place: Place) -> NDArray[Any]:
        spec = place.spec
        count = int(np.prod(spec.shape, dtype=np.int64))
        return self._arena.view(spec.dtype, place.offset, count).reshape(spec.shape)

    @property
    def inputs(self) -> Tensors:
        """Input name -> writable view. Assigning a dictionary with every input copies the arrays into the views."""
        return self._inputs

    @inputs.setter
    def inputs(self, values: Mapping[str, ArrayLike]) -> None:
        self._inputs.assign(values, "input")

    @property
    def outputs(self) -> Tensors:
        """Output name -> view of the last result: the next run overwrites it. They cannot be assigned."""
        return self._outputs

    @outputs.setter
    def outputs(self, values: Any) -> None:
        if values is not self._outputs:
            raise InputError("the outputs of a context are what its last run gave; write its inputs, then run it")

    @property
    def state(self) -> Tensors:
        """State name (that of the input) -> view of what the next run starts from; assigned like the inputs."""
        return self._state

    @state.setter
    def state(self, values: Mapping[str, ArrayLike]) -> None:
        self._state.assign(values, "state")

    def run(self) -> None:
        """Run the program once, on the inputs as they are now.

        Raises:
            RunError: a kernel ended with a status; the outputs are not to be used.
        """
        if status := self._run(self._argument):
            self._end(status)

    @property
    def state_specs(self) -> tuple[TensorSpec, ...]:
        """Name, shape and type of every state."""
        return tuple(place.spec for place in self._executable.program.state)

    @property
    def state_is_finite(self) -> bool:
        """Is no element of a state NaN or infinite? Of a state whose initial value is, it may."""
        return bool(self._executable.library.function("state_is_finite")(self.block_address))

    def reset(self) -> None:
        """Put every state back to its initial value."""
        for view, initial in zip(self.state.values(), self._executable.program.initial, strict=True):
            view[...] = initial

    def save(self) -> dict[str, NDArray[Any]]:
        """A copy of every state; `rt_engine.state.to_bytes` makes bytes of it."""
        return {name: view.copy() for name, view in self.state.items()}

    def restore(self, saved: Mapping[str, ArrayLike] | bytes) -> None:
        """Go on from a saved state (arrays, or the bytes of them); states that are not named start at zero.

        Raises:
            InputError: a name is unknown, or a shape or type does not fit; nothing is changed.
        """
        arrays = from_bytes(saved) if isinstance(saved, bytes) else saved
        check_states(arrays)
        for name, value in initial_values(self.state_specs, arrays).items():
            self.state[name] = value

    def run_samples(self, moves: Block, first: int, end: int) -> None:
        """Run the samples from `first` until `end` of the arrays that `moves` names (`rt_engine.run.batch_native`).

        Raises:
            RunError: the run of a sample ended with a status; those behind it were not run.
        """
        run = self._executable.library.function("run_samples")
        at = run(self.execute_address, self.block_address, moves.address, first, end)
        if at < end:
            self._end(int(self._fields["status"][0]), at)

    def time_samples(self, moves: Block, times: NDArray[np.int64], cold: Block, until_ns: int) -> int:
        """Run as many samples as `times` is long, as `rt_engine.run.times_native` says; gives how many were run.

        Raises:
            RunError: the run of a sample ended with a status.
        """
        run = self._executable.library.function("time_samples")
        at = (moves.address, len(times), times.ctypes.data, cold.address, until_ns)
        done = int(run(self.execute_address, self.block_address, *at))
        if self._fields["runs"][0] and self._fields["status"][0]:
            self._end(int(self._fields["status"][0]), done)
        return done

    def memory(self) -> list[tuple[int, int]]:
        """(address, bytes) of all that a run reads or writes."""
        of = self._fanned or self._executable
        program, table, records = self._executable.program, of.table, of.records
        data = [self._arena, self._block, self._tensors, self._states, table, program.weights]
        if self._fanned and self._fanned.memory:
            data.append(self._fanned.memory)
        return [*((b.address, b.nbytes) for b in data), (records.ctypes.data, records.nbytes)]

    def code(self) -> list[int]:
        """Where the functions begin that a run calls."""
        count = len(self._executable.program.kernels) + (len(STANDING) if self._fanned else 0)
        return [self.execute_address, *(self._fanned or self._executable).table.view(np.int64, 0, count).tolist()]

    def _end(self, status: int, sample: int | None = None) -> None:
        if status:
            raise RunError(status, self._executable.program.nodes[int(self._fields["node"][0])].name, sample)

    def __reduce__(self) -> Any:
        raise TypeError(
            "a context is memory of this process: pickle or copy its model, and what `context.save()` gives"
        )

    def __repr__(self) -> str:
        ends = [", ".join(f"{n}: {v.dtype}{list(v.shape)}" for n, v in t.items()) for t in (self.inputs, self.outputs)]
        return f"<Context ({ends[0]}) -> ({ends[1]})>"

    def measure(self, count: int) -> NDArray[np.int64]:
        """Nanoseconds of each of `count` runs in a row, timed in native code with CLOCK_MONOTONIC.

        Raises:
            InputError: a negative count.
            RunError: a kernel ended with a status.
        """
        if count < 0:
            raise InputError(f"{count} runs cannot be measured; ask for 0 or more")
        times = np.zeros(count, np.int64)
        measure = self._executable.library.function("measure")
        self._end(measure(self._executable.execute_address, self.block_address, count, times.ctypes.data))
        return times
