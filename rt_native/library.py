"""A native library: built once per machine and source, then loaded in milliseconds without Numba."""

import ctypes
import fcntl
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm

from rt_native.errors import BuildError
from rt_native.target import Target, host

Progress = Callable[[str, int, int], None]
"""Called with (library name, functions done, functions in all)."""

_IMPORT = re.compile(r"^(?:from|import)\s+([\w.]+)(?:\s+import\s+\(?([^)\n#]*))?", re.M)
_OURS = ("rt_native", "rt_engine", "fieldbus", "scheduler")
_BUILD_FILES = ("rt_native.build", "rt_native.lang", "rt_native.vector")


def cache_folder() -> Path:
    """Where objects are kept: $RT_ENGINE_CACHE, else $XDG_CACHE_HOME/rt-engine, else ~/.cache/rt-engine."""
    base = os.environ.get("RT_ENGINE_CACHE")
    if base:
        return Path(base)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rt-engine"


def _source(module: str, folders: tuple[str, ...]) -> Path | None:
    """The file of a module, found by its name alone: importing a native module would import Numba."""
    relative = Path(*module.split("."))
    ours = module.split(".")[0] in _OURS
    for folder in (*folders, *([str(Path(__file__).parent.parent)] if ours else [])):
        for candidate in (relative.with_suffix(".py"), relative / "__init__.py"):
            if (Path(folder) / candidate).is_file():
                return Path(folder) / candidate
    return None


def reachable_sources(modules: tuple[str, ...], folders: tuple[str, ...] = ()) -> dict[str, Path]:
    """Module name -> file, for everything of ours (or in `folders`) that `modules` import, directly or not."""
    found: dict[str, Path] = {}
    pending = [*modules, *_BUILD_FILES]
    while pending:
        name = pending.pop()
        path = None if name in found else _source(name, folders)
        if path is None:
            continue
        found[name] = path
        for package, names in _IMPORT.findall(path.read_text()):
            pending.append(package)
            pending += [f"{package}.{n.strip().split(' ')[0]}" for n in names.split(",") if n.strip()]
    return found


class Library:
    """Native code of some modules, for one target.

    Nothing happens until a function or address is asked for. Then the object is loaded from the cache, or built first.

    Args:
        name: of the library, for progress and file names.
        modules: native modules whose exports become symbols.
        target: the machine; by default the one we are on, with its widest vectors.
        path: extra folders where modules are found (a user's own step function).
    """

    def __init__(
        self, name: str, modules: tuple[str, ...], target: Target | None = None, path: tuple[str, ...] = ()
    ) -> None:
        self.name, self.modules, self._target, self._path = name, modules, target, path
        self._lock = threading.Lock()
        self._engine: Any = None
        self._exports: dict[str, int] = {}
        self._functions: dict[str, Any] = {}

    @property
    def target(self) -> Target:
        """The machine that this library is for."""
        return self._target or host()

    @property
    def key(self) -> str:
        """A hash of all that decides what the object contains."""
        digest = hashlib.sha256()
        for module, path in sorted(reachable_sources(self.modules, self._path).items()):
            digest.update(module.encode() + b"\0" + path.read_bytes() + b"\0")
        facts = [self.modules, asdict(self.target), version("numba"), version("llvmlite"), sys.version_info[:2]]
        digest.update(json.dumps(facts).encode())
        return digest.hexdigest()[:20]

    @property
    def object_path(self) -> Path:
        """Where the object is, or will be."""
        return cache_folder() / f"{self.name}-{self.key}.o"

    def is_built(self) -> bool:
        """Is the object for this source and machine in the cache? No, if the cache cannot be read."""
        return _is_readable(self.object_path)

    def build(self, progress: Progress | None = None) -> Path:
        """Build the object if it is not there; gives its path.

        Raises:
            BuildError: the compiler failed, or the cache folder cannot be written.
        """
        path = self.object_path  # once: its name is a hash of all sources
        if _is_readable(path):
            return path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with _only_one(path.with_suffix(".lock")):
                if not _is_readable(path):
                    self._compile(path, progress or _terminal_progress())
        except OSError as error:
            raise BuildError(
                f"cannot write the kernel cache {path.parent}: {error}; set RT_ENGINE_CACHE to a folder that you may write"
            ) from error
        return path

    def _compile(self, path: Path, progress: Progress) -> None:
        job = {
            "modules": self.modules,
            "target": asdict(self.target),
            "output": str(path),
            "path": [*self._path, str(Path(__file__).parent.parent)],
        }
        command = [sys.executable, "-m", "rt_native.build"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([p for p in sys.path if p])}
        complaint = []
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        ) as process:
            assert process.stdin and process.stdout
            process.stdin.write(json.dumps(job))
            process.stdin.close()
            for line in process.stdout:
                match = re.match(r"(\d+)/(\d+) ", line)
                if match:
                    progress(self.name, int(match[1]), int(match[2]))
                else:
                    complaint.append(line)
        if process.returncode or not path.exists():
            raise BuildError(
                f"the native library {self.name!r} could not be compiled for {self.target}:\n{''.join(complaint).strip()}"
            )

    def _load(self) -> Any:
        with self._lock:
            if self._engine is None:
                self._exports, data = self._whole_object()
                self._engine = _engine(data)
        return self._engine

    def _whole_object(self) -> tuple[dict[str, int], bytes]:
        """Exports and object; built again where the files of the cache are damaged."""
        path = self.build()
        if (stored := _stored(path)) is None:
            for damaged in (path, path.with_suffix(".json")):
                damaged.unlink(missing_ok=True)
            stored = _stored(self.build())
        if stored is None:
            raise BuildError(f"{path} was changed while it was loaded; start again")
        return stored

    def address(self, name: str) -> int:
        """Address of an exported function, for other native code."""
        address = int(self._load().get_function_address(name))
        if not address:
            raise KeyError(
                f"the native library {self.name!r} has no {name!r}; it has {', '.join(sorted(self._exports))}"
            )
        return address

    def function(self, name: str) -> Callable[..., int]:
        """An exported function as a ctypes callable (int64 arguments, int64 result); it releases the GIL."""
        if name not in self._functions:
            address = self.address(name)
            prototype = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * self._exports[name])
            self._functions[name] = prototype(address)
        found: Callable[..., int] = self._functions[name]
        return found

    @property
    def exports(self) -> dict[str, int]:
        """Name -> number of arguments, of every exported function."""
        self._load()
        return dict(self._exports)


def _is_readable(path: Path) -> bool:
    return os.access(path, os.R_OK)


def _stored(path: Path) -> tuple[dict[str, int], bytes] | None:
    """(exports, object) from the cache; None where they are missing or not what was written: LLVM would crash on them."""
    try:
        manifest, data = json.loads(path.with_suffix(".json").read_bytes()), path.read_bytes()
        return (manifest["exports"], data) if manifest["sha256"] == hashlib.sha256(data).hexdigest() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _engine(data: bytes) -> Any:
    """An execution engine that holds the object; symbols of libc are found in the process."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.load_library_permanently("")  # symbols of this process
    module = llvm.parse_assembly("")
    module.triple = llvm.get_process_triple()
    machine = llvm.Target.from_triple(module.triple).create_target_machine()
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(data))
    engine.finalize_object()
    return engine


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """Hold a lock file, so that two processes do not build the same library at once."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _terminal_progress() -> Progress:
    """A progress bar on standard error (a line at the start where that is no terminal)."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bar = Bar(*columns, console=console)
    tasks: dict[str, Any] = {}

    def show(name: str, done: int, total: int) -> None:
        if name not in tasks:
            if not console.is_terminal:
                console.print(f"Compiling the native library '{name}' for this machine (once) ...")
            bar.start()
            tasks[name] = bar.add_task(f"Compiling '{name}' for this machine (once)", total=total)
        bar.update(tasks[name], completed=done)
        if done == total:
            bar.stop()

    return show
