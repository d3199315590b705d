"""A native library: taken from the wheel, or built once per machine and source; then loaded in milliseconds without Numba."""

import ctypes
import fcntl
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rt_native import compiler, isolated, shipped
from rt_native.errors import BuildError, NotBuiltError, UnsafeCacheError, UnsupportedCpu
from rt_native.shipped import Shipped
from rt_native.target import Target, host, is_foreign
from rt_native.trust import judged, unsafe

llvm = compiler.llvm()  # now, not when it is used: the folder in which somebody stands by then has no say

Progress = Callable[[str, int, int], None]
"""Called with (library name, functions done, functions in all)."""
LINE_S = 15.0
"""How often a line tells how far compiling is, where no bar can be drawn."""

_IMPORT = re.compile(r"^(?:from|import)\s+([\w.]+)(?:\s+import\s+\(?([^)\n#]*))?", re.M)
_OURS = ("rt_native", "rt_engine", "fieldbus", "scheduler", "plc_bindings")
_BUILD_FILES = ("rt_native.build", "rt_native.lang", "rt_native.vector")


def cache_folder() -> Path:
    """Where objects are kept: $RT_ENGINE_CACHE, else the folder `rt-engine` in the first of these that there is.

    $CACHE_DIRECTORY (a service's, from systemd), $XDG_CACHE_HOME, ~/.cache; for a user without a home a folder of his
    own for temporary files.
    """
    if base := os.environ.get("RT_ENGINE_CACHE"):
        return Path(base).absolute()
    if base := os.environ.get("CACHE_DIRECTORY", "").partition(":")[0] or os.environ.get("XDG_CACHE_HOME"):
        return Path(base).absolute() / "rt-engine"
    with suppress(RuntimeError):  # no home is known
        home = Path.home()
        if os.access(home, os.W_OK) or (home / ".cache" / "rt-engine").is_dir():
            return home / ".cache" / "rt-engine"
    return Path(tempfile.gettempdir()) / f"rt-engine-cache-{os.getuid()}"


def _source(module: str, folders: tuple[str, ...]) -> Path | None:
    """The file of a module, found by its name alone: importing a native module would import Numba."""
    relative = Path(*module.split("."))
    ours = module.split(".")[0] in _OURS
    for folder in (*folders, *([str(Path(__file__).parent.parent)] if ours else [])):
        for candidate in (relative.with_suffix(".py"), relative / "__init__.py"):
            if (Path(folder) / candidate).is_file():
                return Path(folder) / candidate
    return None


class _Sources:
    """What native modules are made of; each file is read once."""

    def __init__(self, folders: tuple[str, ...]) -> None:
        self.folders = folders
        self._files: dict[str, tuple[Path, bytes, frozenset[str]] | None] = {}

    def file(self, module: str) -> tuple[Path, bytes, frozenset[str]] | None:
        """(path, hash, modules that it imports); None for a module that is not ours."""
        if module not in self._files:
            path = _source(module, self.folders)
            self._files[module] = None if path is None else (path, *_digest_and_imports(path))
        return self._files[module]

    def reachable(self, module: str) -> dict[str, tuple[Path, bytes]]:
        """Module name -> (path, hash), for everything of ours that `module` imports, directly or not."""
        found: dict[str, tuple[Path, bytes]] = {}
        seen: set[str] = set()
        pending = {module, *_BUILD_FILES}
        while pending:
            name = pending.pop()
            seen.add(name)
            if file := self.file(name):
                found[name] = file[:2]
                pending |= file[2] - seen
        return found


def _digest_and_imports(path: Path) -> tuple[bytes, frozenset[str]]:
    text = path.read_text(encoding="utf-8")
    imports = set()
    for package, names in _IMPORT.findall(text):
        imports.add(package)
        imports |= {f"{package}.{n.strip().split(' ')[0]}" for n in names.split(",") if n.strip()}
    return hashlib.sha256(text.encode()).digest(), frozenset(imports)


def reachable_sources(module: str, folders: tuple[str, ...] = ()) -> dict[str, Path]:
    """Module name -> file, for everything of ours (or in `folders`) that `module` imports, directly or not."""
    return {name: path for name, (path, _) in _Sources(folders).reachable(module).items()}


def users_sources(module: str, folder: str) -> list[Path]:
    """The files in a user's folder that `module` is made of: its own, and those that it imports from there."""
    return [file for name, file in reachable_sources(module, (folder,)).items() if name.partition(".")[0] not in _OURS]


class Library:
    """Native code of some modules, for one target.

    Nothing happens until a function or address is asked for. Then it is loaded: as it was compiled for this very machine, else
    from the wheel, else it is built first.

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

    def objects(self) -> dict[str, Path]:
        """Module -> its object file, there or not: the name has a hash of all that decides what the object contains.

        Raises:
            NoCompilerError: nothing can be compiled here.
        """
        sources = _Sources(self._path)
        facts = [asdict(self.target), *compiler.versions(self._what()), sys.version_info[:2]]
        if is_foreign(self.target):
            facts.append(Path(__file__).with_name("cross.py").read_text(encoding="utf-8"))
        folder, found = cache_folder(), {}
        for module in self.modules:
            digest = hashlib.sha256(json.dumps([module, *facts]).encode())
            for name, (_, content) in sorted(sources.reachable(module).items()):
                digest.update(name.encode() + b"\0" + content)
            found[module] = folder / f"{module.rpartition('.')[2]}-{digest.hexdigest()[:20]}.o"
        return found

    def _what(self) -> str:
        """What would be compiled, and why it must be where a wheel has libraries."""
        why = shipped.why_not(self.modules, self._target)
        return f"the native library {self.name!r}{f' ({why})' if why else ''}"

    def for_target(self, target: Target) -> "Library":
        """The same modules for another machine."""
        return Library(self.name, self.modules, target, self._path)

    def sources(self) -> dict[str, dict[str, Path]]:
        """Module -> what it is made of: name -> file."""
        return {module: reachable_sources(module, self._path) for module in self.modules}

    def is_built(self) -> bool:
        """Is there nothing to compile? There is, if the cache cannot be read."""
        return self.shipped() is not None or self.is_compiled()

    def is_compiled(self) -> bool:
        """Are the objects for these sources and this machine in the cache? No, if the cache cannot be read."""
        return compiler.is_there() and all(map(_is_readable, self.objects().values()))

    def shipped(self) -> Shipped | None:
        """What the wheel has of it, where that is what runs; not where it was compiled for this very machine.

        Raises:
            BuildError: the wheel's files are damaged.
            UnsafeCacheError: another user could change them.
        """
        if not shipped.has_libraries():
            return None
        modules = shipped.named(users_sources(*self.modules, *self._path)) if self._path else self.modules
        found = shipped.find(modules, self._target) if modules else None
        return None if found is None or self.is_compiled() else found

    def versions(self) -> dict[str, str]:
        """Module -> a name for its code: another for other code."""
        if ready := self.shipped():
            return ready.versions()
        return {module: path.stem for module, path in self.objects().items()}

    def build(self, progress: Progress | None = None, native: bool = False) -> dict[str, Path]:
        """Build the objects that are not there; gives all: module -> object file. None, where the wheel's are used.

        Args:
            progress: is told how far it is.
            native: also where the wheel has them: for this very machine.

        Raises:
            NoCompilerError: there is something to build, and nothing to build it with.
            NotBuiltError: there is something to build, and $RT_ENGINE_COMPILE is `never`.
            UnsafeCacheError: another user could change the cache.
            BuildError: the compiler failed, a source was edited meanwhile, or the cache folder cannot be written.
        """
        if not native and self.shipped():
            return {}
        objects = self.objects()
        if all(map(_is_readable, objects.values())):
            return objects
        folder = cache_folder()
        if os.environ.get("RT_ENGINE_COMPILE") == "never":
            raise NotBuiltError(
                f"the native library {self.name!r} is not compiled in {folder}, and here nothing is compiled "
                "(RT_ENGINE_COMPILE=never); compile it first: rt-engine kernels, or rt-engine service install STATION"
            )
        try:
            _make(folder)
            _refuse_unsafe(folder)
            with _only_one(folder / f"{self.name}-{self.target.lanes}.lock"):
                objects = self.objects()  # again: while another process had the lock, sources may have been edited
                if missing := {m: path for m, path in objects.items() if not _is_readable(path)}:
                    self._compile(missing, progress or _terminal_progress(self._where()))
                    self._forget_edited(missing)
        except OSError as error:
            raise BuildError(
                f"cannot write the kernel cache {folder}: {error}; set RT_ENGINE_CACHE to a folder that you may write"
            ) from error
        return objects

    def _forget_edited(self, built: dict[str, Path]) -> None:
        """Remove objects whose sources were edited while they were compiled: which text went into them is not known."""
        now = self.objects()
        if edited := [module for module, path in built.items() if now[module] != path]:
            for module in edited:
                built[module].unlink(missing_ok=True)
                built[module].with_suffix(".json").unlink(missing_ok=True)
            raise BuildError(f"sources of {', '.join(edited)} were edited while they were compiled; start again")

    def _users_files(self, modules: Iterable[str]) -> dict[str, str]:
        """Module -> file, of what is reached in the user's folders: what a step imports is what its hash is made of."""
        sources = _Sources(tuple(map(os.path.abspath, self._path)))
        reached = {name: file for module in modules for name, (file, _) in sources.reachable(module).items()}
        return {name: str(file) for name, file in reached.items() if name.partition(".")[0] not in _OURS}

    def _where(self) -> str:
        return str(self.target) if is_foreign(self.target) else "this machine"

    def _compile(self, outputs: dict[str, Path], progress: Progress) -> None:
        job = {
            "outputs": {module: str(path) for module, path in outputs.items()},
            "target": asdict(self.target),
            "files": self._users_files(outputs),
            "path": [os.path.abspath(folder) for folder in self._path],
        }
        complaint = []
        with subprocess.Popen(
            isolated.command(
                "rt_native.cross" if is_foreign(self.target) else "rt_native.build", writes_bytecode=False
            ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=isolated.environment(),
            cwd="/",  # Numba would take settings from a file in the current folder
        ) as process:
            assert process.stdin and process.stdout
            with suppress(BrokenPipeError):  # it has ended already, and says why
                process.stdin.write(json.dumps(job))
                process.stdin.close()
            for line in process.stdout:
                match = re.match(r"(\d+)/(\d+) ", line)
                if match:
                    progress(self.name, int(match[1]), int(match[2]))
                else:
                    complaint.append(line)
        if process.returncode or not all(path.exists() for path in outputs.values()):
            raise BuildError(
                f"the native library {self.name!r} could not be compiled for {self.target}:\n{''.join(complaint).strip()}"
            )

    def _load(self) -> Any:
        if is_foreign(self.target):
            raise UnsupportedCpu(
                f"the native library {self.name!r} is for {self.target}; this machine, {host()}, cannot run it"
            )
        with self._lock:
            if self._engine is None:
                if ready := self.shipped():
                    self._exports, self._engine = ready.exports, ready.load()
                else:
                    stored = self._stored_objects()
                    self._exports = {name: nargs for exports, _ in stored for name, nargs in exports.items()}
                    self._engine = _engine([data for _, data in stored])
        return self._engine

    def _stored_objects(self) -> list[tuple[dict[str, int], bytes]]:
        """Exports and object of each module; built again where files of the cache are damaged."""
        objects = self.build().values()
        _refuse_unsafe(cache_folder())
        stored = {path: _stored(path) for path in objects}
        if damaged := [path for path, content in stored.items() if content is None]:
            for path in damaged:
                path.unlink(missing_ok=True)
                path.with_suffix(".json").unlink(missing_ok=True)
            self.build()
            stored.update({path: _stored(path) for path in damaged})
        whole = [content for content in stored.values() if content is not None]
        if len(whole) < len(stored):
            raise BuildError(f"{cache_folder()} was changed while it was loaded; start again")
        return whole

    def content(self) -> dict[str, tuple[dict[str, int], bytes]]:
        """Module -> (exports with their number of arguments, object file); of any target, also one that cannot run here."""
        if ready := self.shipped():
            return ready.content()
        return dict(zip(self.modules, self._stored_objects(), strict=True))

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


def _make(folder: Path) -> None:
    """Make a folder that nobody else may write, whatever the user's mask; those above it as the mask says."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o755)


def _refuse_unsafe(folder: Path) -> None:
    if found := unsafe(folder):
        raise UnsafeCacheError(f"the kernel cache {folder} is not used, another user could change what runs: {found}")


def _read_ours(path: Path) -> bytes:
    """A file of the cache, if nobody else can have written it; it is judged by what was opened."""
    with path.open("rb") as file:
        if found := judged(path, os.fstat(file.fileno())):
            raise UnsafeCacheError(
                f"{path} is not run: it {found.why}; remove it, and it is compiled again: rm -f {shlex.quote(str(path))}"
            )
        return file.read()


def _stored(path: Path) -> tuple[dict[str, int], bytes] | None:
    """(exports, object) from the cache; None where they are missing or not what was written: LLVM would crash on them."""
    try:
        manifest, data = json.loads(_read_ours(path.with_suffix(".json"))), _read_ours(path)
        return (manifest["exports"], data) if manifest["sha256"] == hashlib.sha256(data).hexdigest() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _engine(objects: list[bytes]) -> Any:
    """An execution engine that holds the objects; symbols of libc are found in the process."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.load_library_permanently("")  # symbols of this process
    module = llvm.parse_assembly("")
    module.triple = llvm.get_process_triple()
    machine = llvm.Target.from_triple(module.triple).create_target_machine()
    engine = llvm.create_mcjit_compiler(module, machine)
    for data in objects:
        engine.add_object_file(llvm.ObjectFileRef.from_data(data))
    engine.finalize_object()
    return engine


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """Hold a lock file, so that two processes do not build the same library at once."""
    with path.open("w", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _terminal_progress(where: str) -> Progress:
    """A progress bar on standard error; lines where that is no terminal."""
    from rt_native.terminal import Terminal

    console = Terminal(stderr=True)
    return _bar(console, where) if console.is_terminal else _lines(console.print, where)


def _bar(console: Any, where: str) -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bar = Bar(*columns, console=console)
    tasks: dict[str, Any] = {}

    def show(name: str, done: int, total: int) -> None:
        if name not in tasks:
            bar.start()
            tasks[name] = bar.add_task(f"Compiling '{name}' for {where} (once)", total=total)
        bar.update(tasks[name], completed=done)
        if done == total:
            bar.stop()

    return show


def _lines(say: Callable[[str], object], where: str, every_s: float = LINE_S) -> Progress:
    """A line at the start of a library, one every `every_s`, and one at its end."""
    begun: dict[str, float] = {}
    said: dict[str, float] = {}

    def show(name: str, done: int, total: int) -> None:
        now = time.monotonic()
        if name not in begun:
            begun[name] = said[name] = now
            say(f"Compiling the native library '{name}' for {where} (once) ...")
        if done == total or now - said[name] >= every_s:
            said[name] = now
            say(f"  {done} of {total} after {now - begun[name]:.0f} s")

    return show
