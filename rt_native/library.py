"""A native library: taken from the wheel, or built once per machine and source; then loaded in milliseconds without Numba."""

import ctypes
import hashlib
import json
import os
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import Any

from rt_native import compiler, programs, shipped
from rt_native.background import forget_failure, mode
from rt_native.cache import Engine, cache_folder, is_readable, make, only_one, refuse_unsafe, stored
from rt_native.errors import BuildError, NotBuiltError, UnsupportedCpu
from rt_native.files import is_scarce
from rt_native.needed import Needed, forget_pieces
from rt_native.progress import UNDONE, Progress, terminal_progress
from rt_native.shipped import Shipped
from rt_native.target import Target, host, is_foreign

_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]*(?:\(([^)]*)\)|([^\n#]*))|import[ \t]+([^\n#]*))", re.M
)
"""A package and names of it, in brackets over several lines or in one; or modules."""
_COMMENT = re.compile(r"#.*")
_OURS = ("rt_native", "rt_engine", "fieldbus", "scheduler", "plc_bindings")
_ROOT = str(Path(__file__).parent.parent)
_BUILD_FILES = ("rt_native.build", "rt_native.lang", "rt_native.vector")


def _source(module: str, folders: tuple[str, ...]) -> Path | None:
    """The file of a module, found by its name alone: importing a native module would import Numba."""
    relative, ours = module.replace(".", os.sep), module.partition(".")[0] in _OURS
    for folder in (*folders, *([_ROOT] if ours else [])):
        for ending in (".py", f"{os.sep}__init__.py"):
            if os.path.isfile(candidate := os.path.join(folder, "") + relative + ending):
                return Path(candidate)
    return None


class _Sources:
    """What native modules are made of, as it is now; a file that has not changed is read once in a process."""

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
    at = path.stat()
    return _read(path, (at.st_ino, at.st_size, at.st_mtime_ns, at.st_ctime_ns))


@cache
def _read(path: Path, state: tuple[int, ...]) -> tuple[bytes, frozenset[str]]:
    """`state`: another one where the file has been written since."""
    text = path.read_text(encoding="utf-8")
    imports = set()
    for package, lines, line, modules in _IMPORT.findall(text):
        names = [words.split()[0] for words in _COMMENT.sub("", lines or line or modules).split(",") if words.strip()]
        imports |= {package, *(f"{package}.{name}" for name in names)} if package else {*names}
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
        apart: it is so large that exports are compiled one by one, as they are asked for (`rt_native.needed`).
    """

    def __init__(
        self,
        name: str,
        modules: tuple[str, ...],
        target: Target | None = None,
        path: tuple[str, ...] = (),
        apart: bool = False,
    ) -> None:
        self.name, self.modules, self._target, self.path, self.is_apart = name, modules, target, path, apart
        self._needed: Needed | None = None
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
        sources = _Sources(self.path)
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
        return Library(self.name, self.modules, target, self.path)

    def sources(self) -> dict[str, dict[str, Path]]:
        """Module -> what it is made of: name -> file."""
        return {module: reachable_sources(module, self.path) for module in self.modules}

    def is_built(self) -> bool:
        """Is there nothing to compile? There is, if the cache cannot be read."""
        return self.shipped() is not None or self.is_compiled()

    def is_compiled(self) -> bool:
        """Are the objects for these sources and this machine in the cache? No, if the cache cannot be read."""
        return compiler.is_there() and all(map(is_readable, self.objects().values()))

    def shipped(self) -> Shipped | None:
        """What the wheel has of it, where that is what runs; not where it was compiled for this very machine.

        Raises:
            BuildError: the wheel's files are damaged.
            UnsafeCacheError: another user could change them.
        """
        if not shipped.has_libraries():
            return None
        modules = shipped.named(users_sources(*self.modules, *self.path)) if self.path else self.modules
        found = shipped.find(modules, self._target) if modules else None
        return None if found is None or self.is_compiled() else found

    def versions(self) -> dict[str, str]:
        """Module -> a name for its code: another for other code."""
        if ready := self.shipped():
            return ready.versions()
        return {module: path.stem for module, path in self.objects().items()}

    def build(self, progress: Progress | None = None, native: bool = False, who: str = "") -> dict[str, Path]:
        """Build the objects that are not there; gives all: module -> object file. None, where the wheel's are used.

        Args:
            progress: is told how far it is.
            native: also where the wheel has them: for this very machine.
            who: builds: one process after another of the same name.

        Raises:
            NoCompilerError: there is something to build, and nothing to build it with.
            NotBuiltError: there is something to build, and $RT_ENGINE_COMPILE is `never`.
            UnsafeCacheError: another user could change the cache.
            BuildError: the compiler failed, a source was edited meanwhile, or the cache folder cannot be written.
        """
        if not native and self.shipped():
            return {}
        objects = self.objects()
        if all(map(is_readable, objects.values())):
            return objects
        with self.building(who):
            objects = self.objects()  # again: while another process had the lock, sources may have been edited
            if missing := {m: path for m, path in objects.items() if not is_readable(path)}:
                self._compile(missing, progress)
                self._forget_edited(missing)
                forget_pieces(missing.values())
                forget_failure(self.name)
        return objects

    @contextmanager
    def building(self, who: str = "") -> Iterator[None]:
        """While this process alone may write objects; `who` compiles in the background waits for nobody else, and nobody for it.

        Raises:
            NotBuiltError, UnsafeCacheError, BuildError: see `build`.
        """
        folder = cache_folder()
        if mode() == "never":
            raise NotBuiltError(
                f"the native library {self.name!r} is not compiled in {folder}, and here nothing is compiled "
                "(RT_ENGINE_COMPILE=never); compile it first: rt-engine kernels, or rt-engine service install STATION"
            )
        try:
            make(folder)
            refuse_unsafe(folder)
            with only_one(folder / f"{self.name}-{self.target.lanes}{who and '.'}{who}.lock"):
                yield
        except OSError as error:
            if is_scarce(error):
                raise
            raise BuildError(
                f"cannot write the kernel cache {folder}: {error}; set RT_ENGINE_CACHE to a folder that you may write"
            ) from error

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
        sources = _Sources(tuple(map(os.path.abspath, self.path)))
        reached = {name: file for module in modules for name, (file, _) in sources.reachable(module).items()}
        return {name: str(file) for name, file in reached.items() if name.partition(".")[0] not in _OURS}

    def _where(self) -> str:
        return str(self.target) if is_foreign(self.target) else "this machine"

    def _compile(self, outputs: dict[str, Path], progress: Progress | None) -> None:
        program = "rt_native.cross" if is_foreign(self.target) else "rt_native.build"
        self.run_compiler(program, outputs, {}, progress, outputs.values())

    def run_compiler(
        self,
        program: str,
        outputs: dict[str, Path],
        more: Mapping[str, Any],
        progress: Progress | None = None,
        made: Iterable[Path] = (),
    ) -> None:
        """Run a program that compiles, and tell how far it is.

        Args:
            program: `rt_native.build` or one like it.
            outputs: module -> its object.
            more: what its job says besides.
            progress: by default a bar, or lines, on standard error.
            made: what must be there then.

        Raises:
            BuildError: it failed; with its words.
        """
        progress = progress or terminal_progress(self._where())
        try:
            why = programs.run(program, {**self.job(outputs), **more}, partial(progress, self.name))
            if why is not None or not all(path.exists() for path in made):
                raise BuildError(
                    f"the native library {self.name!r} could not be compiled for {self.target}:\n{why or 'an object is missing'}"
                )
        except BaseException:  # Ctrl-C
            progress(self.name, 0, UNDONE)
            raise

    def job(self, outputs: Mapping[str, Path]) -> dict[str, Any]:
        """What a program that compiles is told: `outputs` is module -> its object."""
        return {
            "outputs": {module: str(path) for module, path in outputs.items()},
            "target": asdict(self.target),
            "files": self._users_files(outputs),
            "path": [os.path.abspath(folder) for folder in self.path],
        }

    def need(self, names: Iterable[str]) -> None:
        """Have exports ready to be called: what is not compiled is, all of it together. Unknown names are left out.

        Raises:
            BuildError, NotBuiltError, UnsafeCacheError, UnsupportedCpu: see `build`; or it is for another machine.
        """
        if needed := self._parts():
            needed.need(names)
        else:
            self._load()

    def _parts(self) -> Needed | None:
        """The exports that were asked for, where each is compiled alone; None where the library is taken as a whole."""
        with self._lock:
            if not (self._needed or self._engine) and self.is_apart and mode() != "all" and not is_foreign(self.target):
                self._needed = None if self.is_built() else Needed(self)
            return self._needed

    def _load(self) -> Any:
        with self._lock:
            if self._engine is None:
                if is_foreign(self.target):
                    raise UnsupportedCpu(
                        f"the native library {self.name!r} is for {self.target}; this machine, {host()}, cannot run it"
                    )
                if ready := self.shipped():
                    self._exports, self._engine = ready.exports, ready.load()
                else:
                    content = self._stored_objects()
                    self._exports = {name: nargs for exports, _ in content for name, nargs in exports.items()}
                    self._engine = Engine(content)
        return self._engine

    def _stored_objects(self) -> list[tuple[dict[str, int], bytes]]:
        """Exports and object of each module; built again where files of the cache are damaged."""
        objects = self.build().values()
        refuse_unsafe(cache_folder())
        found = {path: stored(path) for path in objects}
        if damaged := [path for path, content in found.items() if content is None]:
            for path in damaged:
                path.unlink(missing_ok=True)
                path.with_suffix(".json").unlink(missing_ok=True)
            self.build()
            found.update({path: stored(path) for path in damaged})
        whole = [content for content in found.values() if content is not None]
        if len(whole) < len(found):
            raise BuildError(f"{cache_folder()} was changed while it was loaded; start again")
        return whole

    def content(self) -> dict[str, tuple[dict[str, int], bytes]]:
        """Module -> (exports with their number of arguments, object file); of any target, also one that cannot run here."""
        if ready := self.shipped():
            return ready.content()
        return dict(zip(self.modules, self._stored_objects(), strict=True))

    def homes(self) -> dict[str, str]:
        """Export -> the module that has it. Of a library that is compiled export by export, nothing more is compiled for it."""
        if needed := self._parts():
            return needed.homes
        return {name: module for module, (exports, _) in self.content().items() for name in exports}

    def pieces(self, exports: Iterable[str]) -> dict[str, tuple[dict[str, int], bytes]]:
        """Member -> (exports, object), which together have these exports; none where the library is taken as a whole."""
        needed = self._parts()
        return needed.pieces(exports) if needed else {}

    def address(self, name: str) -> int:
        """Address of an exported function, for other native code."""
        needed = self._parts()
        address = needed.address(name) if needed else int(self._load().get_function_address(name))
        if not address:
            raise KeyError(
                f"the native library {self.name!r} has no {name!r}; it has {', '.join(sorted(self.exports))}"
            )
        return address

    def function(self, name: str) -> Callable[..., int]:
        """An exported function as a ctypes callable (int64 arguments, int64 result); it releases the GIL."""
        if name not in self._functions:
            address = self.address(name)
            prototype = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * self.exports[name])
            self._functions[name] = prototype(address)
        found: Callable[..., int] = self._functions[name]
        return found

    @property
    def exports(self) -> dict[str, int]:
        """Name -> number of arguments, of every exported function."""
        if needed := self._parts():
            return needed.exports
        self._load()
        return dict(self._exports)
