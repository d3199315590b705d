"""A step: a compiled function that is called in the cycle after the model, `int64 step(inputs, n_in, outputs, n_out, state)`.

    inputs   float64[n_in]    newest value of each element of the task's inputs, scaled, in their order
    outputs  float64[n_out]   what the model gave for the task's outputs, scaled, in their order; to be changed in place
    state    memory that stays from cycle to cycle, zero at the start (`state_bytes`); before it `task_block.STEP_HEADER`
    result   0, or another number: the outputs are made safe for this cycle

It runs on the real-time thread, so it must not allocate, lock, or call into the kernel. The guard comes after it. Ready ones
are in `scheduler.controllers`; docs/steps.md shows how to write one, with arrays (`scheduler.step_lang`). In C:

    int64_t soften(const double *in, int64_t n_in, double *out, int64_t n_out, void *state) { out[0] *= 0.5; return 0; }

With addresses (arguments are int64: addresses and numbers):

    from rt_native.lang import export, load_f64, store_f64

    @export
    def soften(inputs, n_in, outputs, n_out, state):
        store_f64(outputs, 0.5 * load_f64(outputs))
        return 0
"""

import ctypes
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rt_native.errors import BuildError, NoCompilerError
from rt_native.library import Library, users_sources
from rt_native.trust import why_not_run
from scheduler.errors import StepError
from scheduler.step_faults import calls_python, in_words

ARGUMENTS = 5


@dataclass(frozen=True, slots=True)
class Step:
    """The address of a step function, and the bytes of state that each task keeps for it.

    `initial` is what the state begins with, zeros after it. `shape` is for how many elements of inputs, and of outputs, the
    step is made; None: for any. `fixed`: the first so many bytes of the state are parameters, which no call changes.
    """

    address: int
    state_bytes: int = 0
    name: str = "step"
    initial: bytes = b""
    shape: tuple[int | None, int | None] = (None, None)
    fixed: int = 0
    _owner: Any = field(default=None, repr=False, compare=False)  # keeps the code loaded

    @classmethod
    def from_address(cls, address: int, state_bytes: int = 0, name: str = "step", owner: Any = None) -> "Step":
        """A step that is in memory already; `owner` is kept alive with it."""
        if address <= 0:
            raise StepError(f"step {name!r}: {address} is not an address")
        return cls(address, state_bytes, name, _owner=owner)

    @classmethod
    def from_library(cls, path: str | Path, symbol: str, state_bytes: int = 0) -> "Step":
        """A function of a shared library.

        Raises:
            StepError: the library cannot be loaded or has no such symbol.
        """
        if why := why_not_run(Path(path)):
            raise StepError(f"step {symbol!r}: {why}")
        try:
            library = ctypes.CDLL(str(path))
            function = getattr(library, symbol)
        except (OSError, AttributeError) as error:
            raise StepError(f"step {symbol!r} of {path}: {error}") from error
        address = ctypes.cast(function, ctypes.c_void_p).value
        return cls.from_address(address or 0, state_bytes, f"{Path(path).name}:{symbol}", library)

    @classmethod
    def compile(cls, where: str, state_bytes: int = 0) -> "Step":
        """A function `FILE.py:FUNCTION`; compiled once, then taken from the cache. Its state: what it says, or more.

        Raises:
            StepError: no such file or function, or it cannot be compiled, or calls Python.
        """
        file, _, symbol = where.rpartition(":")
        path = Path(file)
        if not file or not symbol.isidentifier() or not path.is_file():
            raise StepError(f"step {where!r}: expected 'FILE.py:FUNCTION' with a file that exists")
        folder = str(path.resolve().parent)
        for source in (path, *users_sources(path.stem, folder)):
            if why := why_not_run(source):
                raise StepError(f"step {where!r}: {why}")
        library = Library(f"step-{path.stem}", modules=(path.stem,), path=(folder,))
        try:
            stored = [] if library.shipped() else [data for _, data in library.content().values()]
        except NoCompilerError as error:
            raise StepError(f"step {where!r}: {error}") from error
        except BuildError as error:
            _, _, complaint = str(error).partition(":\n")  # "the native library ... could not be compiled for ...:"
            why = in_words(complaint, path) if complaint else str(error)
            raise StepError(f"step {where!r} does not compile: {why}") from error
        if functions := calls_python(stored):
            raise StepError(
                f"step {where!r} calls what there is only in Python ({', '.join(functions)}): {path.name} must not print, nor "
                "use functions of math that are not compiled, such as math.gamma"
            )
        exports = library.exports
        if exports.get(symbol) != ARGUMENTS:
            found = ", ".join(f"{name}({count} arguments)" for name, count in exports.items()) or "nothing"
            raise StepError(
                f"step {where!r}: expected a function with @step above it, or an @export with {ARGUMENTS} arguments (inputs, "
                f"n_in, outputs, n_out, state); {path.name} exports {found}"
            )
        if (wanted := f"{symbol}_state_bytes") in exports:
            state_bytes = max(state_bytes, library.function(wanted)())
        return cls.from_address(library.address(symbol), state_bytes, f"{path.name}:{symbol}", library)
