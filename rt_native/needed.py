"""Some exports of a large library: each is compiled when it is asked for, and loaded from an object of its own.

    is the whole module compiled? --> its object
    was this export compiled?     --> its piece, beside where that will be: gemm-1f2e.k_gemm_f32.o
    else                          --> it is compiled now, together with what else is asked for; the rest in the background

Which module has an export is in the library's index, which whoever compiles first writes.
"""

import hashlib
import json
import threading
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from rt_native import background
from rt_native.cache import Engine, cache_folder, refuse_unsafe, stored
from rt_native.errors import BuildError


class Whole(Protocol):
    """What is asked of the library (`rt_native.library.Library`)."""

    name: str
    modules: tuple[str, ...]
    path: tuple[str, ...]

    def objects(self) -> dict[str, Path]:
        """Module -> object file, there or not."""

    def building(self, who: str) -> AbstractContextManager[None]:
        """While this process alone may write pieces."""

    def run_compiler(self, program: str, outputs: dict[str, Path], job: dict[str, Any]) -> None:
        """Compile, and tell how far it is."""


class Needed:
    """The exports of a library that were asked for, in this process."""

    def __init__(self, library: Whole) -> None:
        self._library = library
        self._lock = threading.RLock()
        self._objects = library.objects()
        names = "".join(path.name for path in self._objects.values())
        self._index = cache_folder() / f"{library.name}-{hashlib.sha256(names.encode()).hexdigest()[:20]}.index"
        self._home: dict[str, tuple[str, int]] = {}
        self._engines: dict[str, Any] = {}

    @property
    def exports(self) -> dict[str, int]:
        """Name -> number of arguments, of all that the library has."""
        self.need(())
        return {name: nargs for name, (_, nargs) in self._home.items()}

    @property
    def homes(self) -> dict[str, str]:
        """Export -> the module that has it."""
        self.need(())
        return {name: module for name, (module, _) in self._home.items()}

    def pieces(self, names: Iterable[str]) -> dict[str, tuple[dict[str, int], bytes]]:
        """Member -> (exports, object), which together have these exports: alone, or as part of a module that is there as a whole.

        Raises:
            BuildError, NotBuiltError, UnsafeCacheError: see `Library.build`.
        """
        wanted, found = tuple(names), dict[str, tuple[dict[str, int], bytes]]()
        self.need(wanted)
        for name in wanted:
            if (here := self._stored(name)) is None:
                raise BuildError(f"{cache_folder()} was changed while it was read; start again")
            found[here[0]] = here[1]
        # A module that came meanwhile has what was found alone before: a linker refuses what is defined twice.
        return {
            member: made
            for member, made in found.items()
            if not any(made[0].keys() < exports.keys() for exports, _ in found.values())
        }

    def need(self, names: Iterable[str]) -> None:
        """Have these exports ready; those that the library does not have are left out.

        Raises:
            BuildError, NotBuiltError, UnsafeCacheError: see `Library.build`.
        """
        wanted = [name for name in dict.fromkeys(names) if name not in self._engines]
        if self._home and not wanted:
            return
        with self._lock:
            if not self._home or self._missing(wanted):
                self._load(wanted)

    def address(self, name: str) -> int:
        """Of an export; 0 for a name that the library does not have."""
        self.need((name,))
        return int(self._engines[name].get_function_address(name)) if name in self._engines else 0

    def _load(self, wanted: list[str]) -> None:
        if self._take(wanted):
            return
        with self._library.building("needed"):
            if not self._take(wanted):  # another process may have compiled it meanwhile
                self._compile(wanted)
        if not self._take(wanted):
            raise BuildError(f"{cache_folder()} was changed while it was loaded; start again")
        if not self._library.path:
            background.start(self._library)

    def _missing(self, wanted: list[str]) -> list[str]:
        return [name for name in wanted if name in self._home and name not in self._engines]

    def _take(self, wanted: list[str]) -> bool:
        """Load what is in the cache; was that all?"""
        if not cache_folder().is_dir():
            return False
        refuse_unsafe(cache_folder())
        if not self._home and (found := stored(self._index)):
            table = json.loads(found[1])
            self._home = {name: (module, nargs) for module, of in table.items() for name, nargs in of.items()}
        for name in self._missing(wanted):
            if name not in self._engines and (here := self._stored(name)):
                exports, _ = here[1]
                # What is loaded already is what tasks have addresses of.
                self._engines = dict.fromkeys(exports, Engine([here[1]])) | self._engines
        return bool(self._home) and not self._missing(wanted)

    def _stored(self, name: str) -> tuple[str, tuple[dict[str, int], bytes]] | None:
        """(member, (exports, object)) of the module that has an export, or of the export alone; None where neither is there.

        The module is looked for again at the end: who writes it removes its pieces.
        """
        module = self._home[name][0]
        path = self._objects[module]
        whole, alone = (f"{module.rpartition('.')[2]}.o", path), (f"{name}.o", piece(path, name))
        return next(((member, found) for member, file in (whole, alone, whole) if (found := stored(file))), None)

    def _compile(self, wanted: list[str]) -> None:
        self._refuse_edited("start again")
        job = {"wanted": wanted, "index": str(self._index)}
        self._library.run_compiler("rt_native.build_some", self._objects, job)
        try:
            self._refuse_edited("start again")
        except BuildError:
            for path in (self._index, *(piece(module, name) for module in self._objects.values() for name in wanted)):
                path.unlink(missing_ok=True)
            raise

    def _refuse_edited(self, what: str) -> None:
        """An object would stand under the hash of another text, or work together with those of another."""
        now = self._library.objects()
        if edited := [module for module, path in self._objects.items() if now.get(module) != path]:
            raise BuildError(f"sources of {', '.join(edited)} were edited since this process uses them; {what}")


def piece(module: Path, export: str) -> Path:
    """The object of one export, beside that of its module."""
    return module.with_name(f"{module.stem}.{export}.o")


def forget_pieces(objects: Iterable[Path]) -> None:
    """Remove pieces of modules that are there as a whole, but for what another process is writing (`build.write`)."""
    for path in objects:
        for kind in ("o", "json"):
            for part in path.parent.glob(f"{path.stem}.*.{kind}"):
                part.unlink(missing_ok=True)
