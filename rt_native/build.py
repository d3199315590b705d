"""Compile native modules to object files, one per module: a program of its own, run by `rt_native.isolated`.

    Python function     --Numba--> LLVM IR --(+ a two-line wrapper `int64 f(int64, ...)`)--> optimised bitcode
    plain function      --`rt_native.plain`--> LLVM IR                                   --> optimised bitcode
    bitcode of a module --link, emit--> object file

Both steps run in worker processes. Prints one line per step (`done/total name`) for the progress bar of who started it.
"""

import gc
import hashlib
import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import suppress
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import Any, NoReturn

import llvmlite.binding as llvm

from rt_native.cores import cores
from rt_native.isolated import end_with
from rt_native.machine import Target

_FLAGS = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True, "nrt": False}
_BRANCHES = ("fieldbus.", "plc_bindings.", "rt_engine.measure.runs_", "rt_engine.run.", "rt_engine.tune.", "scheduler.")
"""How modules begin whose functions branch, and copy a few words: a loop made wider is a third of their code, and never pays."""
_PLAIN = (*_BRANCHES, "rt_engine.kernels.")
"""How modules begin whose functions are plain, but for a few; those of users keep to what Numba says of them."""

_SELDOM = 50_000, 20, 100
"""When Python looks for cycles that nobody uses: among syntax trees and IR, all of it in use, that was a third of the time."""


def has_loops(module: str) -> bool:
    """Is a module compiled for its loops, as kernels and the steps of users are?"""
    return not module.startswith(_BRANCHES)


def leave_out_running() -> None:
    """Numba is asked for LLVM IR alone.

    It would also optimise each function together with all that it calls, callers again with all of that, and make each ready
    to be called in this process. Here a module is optimised once, for the target: two thirds of the time, the same code.
    """
    from numba.core import codegen

    numba: Any = codegen
    numba.CPUCodeLibrary._optimize_functions = numba.CPUCodeLibrary._optimize_final_module = lambda *_: None
    numba.JITCodeLibrary._finalize_specific = numba.JITCPUCodegen.set_env = lambda *_: None
    numba.JITCodeLibrary.get_pointer_to_function = lambda library, _: library._ensure_finalized() or 0


def lowered(function: Any, arguments: tuple[Any, ...]) -> tuple[str, str]:
    """(LLVM IR of everything that the function needs, mangled name)."""
    from numba.core import compiler, types
    from numba.core.registry import cpu_target

    flags = compiler.Flags()  # type: ignore[no-untyped-call]
    for name, value in _FLAGS.items():
        setattr(flags, name, value)
    typing_context, target_context = cpu_target.typing_context, cpu_target.target_context
    typing_context.refresh()
    target_context.refresh()
    compile_extra: Any = compiler.compile_extra
    result = compile_extra(typing_context, target_context, function, arguments, types.int64, flags, {})
    return result.library.get_llvm_str(), result.fndesc.mangled_name


def _wrapper(symbol: str, mangled: str, nargs: int) -> str:
    """Numba's calling convention (result by pointer, status, exception slot) -> `int64 symbol(int64, ...)`."""
    parameters = ", ".join(f"i64 %a{i}" for i in range(nargs))
    types = ", ".join(["ptr", "ptr"] + ["i64"] * nargs)
    arguments = ", ".join(["ptr %result", "ptr %exception"] + [f"i64 %a{i}" for i in range(nargs)])
    return f"""
declare i32 @{mangled}({types})
define i64 @{symbol}({parameters}) {{
  %result = alloca i64
  %exception = alloca ptr
  store i64 0, ptr %result
  %status = call i32 @{mangled}({arguments})
  %value = load i64, ptr %result
  ret i64 %value
}}
"""


def _machine(target: Target) -> Any:
    return llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=3, reloc="pic", codemodel="default"
    )


def _optimise(module: Any, machine: Any, loops: bool) -> None:
    options = llvm.create_pipeline_tuning_options(speed_level=3 if loops else 2)
    options.loop_vectorization = options.slp_vectorization = loops
    options.loop_unrolling = options.loop_interleaving = loops
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)


def _internalise(module: Any, export: str) -> None:
    """Everything but the export becomes private, so that unused code goes and names cannot clash.

    Its name is its place: Numba's have a number that says how much this process compiled before.
    """
    for number, value in enumerate([*module.functions, *module.global_variables]):
        if not value.is_declaration and value.name != export:
            value.linkage, value.name = "internal", f"{export}.{number}"


def _translated(export: Any) -> Any:
    """LLVM's module of one export, by our own way where it is plain."""
    from rt_native.plain import translated
    from rt_native.plain_numba import NotPlain

    if (module := export.function.__module__).startswith(_PLAIN):
        with suppress(NotPlain):
            return llvm.parse_assembly(translated(export, inline=has_loops(module)))
    text, mangled = lowered(export.function, export.arguments)
    module = llvm.parse_assembly(text)
    wrapper = llvm.parse_assembly(_wrapper(export.name, mangled, export.nargs))
    wrapper.triple, wrapper.data_layout = module.triple, module.data_layout
    module.link_in(wrapper)
    return module


def compiled(export: Any, target: Target) -> bytes:
    """One exported function as optimised bitcode."""
    module = _translated(export)
    _internalise(module, export.name)
    _optimise(module, _machine(target), has_loops(export.function.__module__))
    bitcode: bytes = module.as_bitcode()
    return bitcode


def emitted(name: str, parts: list[bytes], target: Target) -> bytes:
    """The object file of a module, from the bitcode of its functions."""
    whole = llvm.parse_assembly("")
    whole.name, whole.triple = name, target.triple
    for part in parts:
        whole.link_in(llvm.parse_bitcode(part))
    data: bytes = _machine(target).emit_object(whole)
    return data


Say = Callable[[str], object]
"""Takes how far a job is: `done/total what`."""


def workers(more: int = 0) -> ProcessPoolExecutor:
    """Processes that compile, and end with this one however it ends; one for each core, up to 4, and `more`.

    An executor, not a Pool: a worker that is killed (out of memory) ends the build instead of hanging it.
    """
    fork = multiprocessing.get_context("fork")
    return ProcessPoolExecutor(min(cores(), 4) + more, fork, end_with, (os.getpid(), signal.SIGKILL))


def _worker(module: str, index: int, target: Target) -> bytes | str:
    """Bitcode of one export, or what went wrong: every failure is the builder's to report, with the function's name."""
    export = exports_of(module)[index]
    try:
        return compiled(export, target)
    except Exception as error:
        return f"{export.name}: {type(error).__name__}: {error}"


def exports_of(module: str) -> list[Any]:
    """What a module that is imported exports."""
    from rt_native.lang import EXPORTS

    return EXPORTS.get(module, [])


def build(job: dict[str, Any], target: Target, pool: ProcessPoolExecutor, say: Say) -> None:
    """Compile each module of a job's `outputs` for `target` to the object file beside it, with a manifest in `.json`."""
    outputs = outputs_of(job)
    exports = {module: exports_of(module) for module in outputs}
    parts: dict[str, dict[int, bytes]] = {module: {} for module in outputs}
    jobs: dict[Future[Any], tuple[str, int | None]] = {}

    def submit_emit(module: str) -> None:
        ordered = [
            part for _, part in sorted(parts.pop(module).items())
        ]  # not as they came: the same bytes in every run
        jobs[pool.submit(emitted, module, ordered, target)] = (module, None)

    for module, functions in exports.items():
        for index in range(len(functions)):
            jobs[pool.submit(_worker, module, index, target)] = (module, index)
        if not functions:
            submit_emit(module)
    done, total = 0, len(outputs) + sum(map(len, exports.values()))
    while jobs:
        for ended in wait(jobs, return_when=FIRST_COMPLETED).done:
            module, part = jobs.pop(ended)
            result = ended.result()
            if isinstance(result, str):
                give_up(jobs, result)
            if part is None:
                write(outputs[module], result, {e.name: e.nargs for e in exports[module]}, target)
            else:
                parts[module][part] = result
                if len(parts[module]) == len(exports[module]):
                    submit_emit(module)
            done += 1
            say(f"{done}/{total} {module}")


def give_up(jobs: Iterable[Future[Any]], why: str) -> NoReturn:
    """End a job for which others are waiting: what has not begun is not done."""
    for waiting in jobs:
        waiting.cancel()
    raise SystemExit(why)


def write(output: Path, data: bytes, exports: dict[str, int], target: Target) -> None:
    """An object and its manifest, or the index of a library; each written whole, then renamed: who reads never sees half a file.

    The object last: where it is, its manifest is.
    """
    manifest = {
        "exports": exports,
        "lanes": target.lanes,
        "cpu": target.cpu,
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    for path, content in ((output.with_suffix(".json"), json.dumps(manifest).encode()), (output, data)):
        partial = output.with_suffix(f".{os.getpid()}")
        try:
            partial.write_bytes(content)
            partial.chmod(0o644)  # whatever the user's mask: what others may write is not run
            partial.replace(path)
        except OSError:  # a full disk
            with suppress(OSError):
                partial.unlink()
            raise


def outputs_of(job: dict[str, Any]) -> dict[str, Path]:
    """Module -> its object file, as a job says."""
    return {module: Path(output) for module, output in job["outputs"].items()}


class _Given:
    """Finds the modules that a job names in their files, before anything is searched for."""

    def __init__(self, files: dict[str, str]) -> None:
        self._files = files

    def find_spec(self, name: str, _path: Any = None, _target: Any = None) -> ModuleSpec | None:
        """As importing asks for it."""
        return spec_from_file_location(name, self._files[name]) if name in self._files else None


def prepare(job: dict[str, Any]) -> Target:
    """Import what a job compiles, and all that Numba knows; workers that are made then have it. Gives the target."""
    gc.set_threshold(*_SELDOM)
    target = Target(**job["target"])
    os.environ["RT_NATIVE_LANES"] = str(target.lanes)
    os.environ["RT_NATIVE_FEATURES"] = target.features
    os.environ["RT_NATIVE_ARITHMETIC"] = target.arithmetic
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    _import_compiler()
    leave_out_running()
    sys.meta_path.insert(0, _Given(job["files"]))
    sys.path += job["path"]  # last: nothing of the user's takes the place of what the compiler imports
    for name in outputs_of(job):
        import_module(name)
    from numba.core.registry import cpu_target

    cpu_target.typing_context.refresh()
    cpu_target.target_context.refresh()
    gc.freeze()
    return target


def _import_compiler() -> None:
    """Without SciPy: Numba would have BLAS from it, half of its own time, and no object can call that."""
    is_hidden = sys.modules.setdefault("scipy", None) is None  # type: ignore[arg-type]  # it cannot be imported
    for name in ("numba.np.arraymath", "rt_native.plain"):  # once, not in each worker
        import_module(name)
    if is_hidden:
        del sys.modules["scipy"]


def tell(words: str) -> None:
    """Say to who started this program how far it is."""
    print(words, flush=True)


def main(work: Callable[[dict[str, Any], Target, ProcessPoolExecutor, Say], None] = build) -> None:
    """Read a job from standard input (JSON: outputs, target, the user's files by module, folders with more of them), and do it."""
    job = json.load(sys.stdin)
    target = prepare(job)
    with workers() as pool:
        work(job, target, pool, tell)


if __name__ == "__main__":
    main()
