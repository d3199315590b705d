"""Compile native modules to one object file: run as `python -m rt_native.build`, in a process of its own.

    Python function --Numba--> LLVM IR --(+ a two-line wrapper `int64 f(int64, ...)`)--> optimised bitcode   two workers
    all bitcode     --link, internalise, emit--> object file                                                here

Prints one line per compiled function (`done/total name`) for the progress bar of who started it.
"""

import hashlib
import json
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib import import_module
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm

from rt_native.target import Target

_FLAGS = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True, "nrt": False}


def _lower(function: Any, nargs: int) -> tuple[str, str]:
    """(LLVM IR of everything that the function needs, mangled name)."""
    from numba.core import compiler, types
    from numba.core.registry import cpu_target

    flags = compiler.Flags()  # type: ignore[no-untyped-call]
    for name, value in _FLAGS.items():
        setattr(flags, name, value)
    typing_context, target_context = cpu_target.typing_context, cpu_target.target_context
    typing_context.refresh()
    target_context.refresh()
    arguments = (types.int64,) * nargs
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


def _optimise(module: Any, machine: Any) -> None:
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = True
    options.slp_vectorization = True
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)


def _internalise(module: Any, keep: set[str]) -> None:
    """Everything but the exports becomes private, so that unused code goes and names cannot clash."""
    for value in [*module.functions, *module.global_variables]:
        if not value.is_declaration and value.name not in keep:
            value.linkage = "internal"


def _compile(export: Any, target: Target) -> bytes:
    """One exported function as optimised bitcode."""
    text, mangled = _lower(export.function, export.nargs)
    module = llvm.parse_assembly(text)
    wrapper = llvm.parse_assembly(_wrapper(export.name, mangled, export.nargs))
    wrapper.triple, wrapper.data_layout = module.triple, module.data_layout
    module.link_in(wrapper)
    _internalise(module, {export.name})
    _optimise(module, _machine(target))
    bitcode: bytes = module.as_bitcode()
    return bitcode


_STATE: dict[str, Any] = {}


def _worker(index: int) -> tuple[str, bytes | str]:
    export = _STATE["exports"][index]
    try:
        return export.name, _compile(export, _STATE["target"])
    except Exception as error:  # every failure is the builder's to report, with the function's name
        return export.name, f"{export.name}: {type(error).__name__}: {error}"


def build(modules: list[str], target: Target, output: Path) -> None:
    """Compile `modules` for `target`, write the object to `output` and its exports to `output.json`."""
    from rt_native.lang import EXPORTS

    for name in modules:
        import_module(name)
    exports = [e for m in modules for e in EXPORTS.get(m, ())]
    _STATE.update(exports=exports, target=target)
    whole: Any = None
    # An executor, not a Pool: a worker that is killed (out of memory) ends the build instead of hanging it.
    fork = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(min(os.cpu_count() or 1, 4), mp_context=fork) as pool:
        jobs = [pool.submit(_worker, index) for index in range(len(exports))]
        for done, job in enumerate(as_completed(jobs), 1):
            name, result = job.result()
            if isinstance(result, str):
                raise SystemExit(result)
            part = llvm.parse_bitcode(result)
            whole = part if whole is None else _linked(whole, part)
            print(f"{done}/{len(exports) + 1} {name}", flush=True)
    data = _machine(target).emit_object(whole)
    manifest = {
        "exports": {e.name: e.nargs for e in exports},
        "lanes": target.lanes,
        "cpu": target.cpu,
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    for path, content in ((output, data), (output.with_suffix(".json"), json.dumps(manifest).encode())):
        # Written whole, then renamed: who reads never sees half a file.
        partial = output.with_suffix(f".{os.getpid()}")
        partial.write_bytes(content)
        partial.replace(path)
    print(f"{len(exports) + 1}/{len(exports) + 1} object file", flush=True)


def _linked(whole: Any, part: Any) -> Any:
    whole.link_in(part)
    return whole


def main() -> None:
    """Read the job from standard input (JSON: modules, target, output)."""
    job = json.load(sys.stdin)
    target = Target(**job["target"])
    os.environ["RT_NATIVE_LANES"] = str(target.lanes)
    os.environ["NUMBA_OPT"] = "0"  # optimised here, once, for the target
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    sys.path[:0] = [p for p in job["path"] if p not in sys.path]
    build(job["modules"], target, Path(job["output"]))


if __name__ == "__main__":
    main()
