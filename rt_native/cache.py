"""The folder of what was compiled: where it is, that nobody else may write it, and what is read from it."""

import fcntl
import hashlib
import json
import os
import shlex
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rt_native import compiler
from rt_native.errors import UnsafeCacheError
from rt_native.files import is_scarce
from rt_native.trust import judged, unsafe

_LOADED: list[object] = []
"""All code that LLVM has loaded: it stays, whoever forgets it, as tasks and functions know addresses of it."""

llvm = compiler.llvm()  # now, not when it is used: the folder in which somebody stands by then has no say


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


def is_readable(path: Path) -> bool:
    """Is it there, for us?"""
    return os.access(path, os.R_OK)


def make(folder: Path) -> None:
    """Make a folder that nobody else may write, whatever the user's mask; those above it as the mask says."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o755)


def refuse_unsafe(folder: Path) -> None:
    """Raise UnsafeCacheError if another user could change what is in a folder."""
    if found := unsafe(folder):
        raise UnsafeCacheError(f"the kernel cache {folder} is not used, another user could change what runs: {found}")


def read_ours(path: Path) -> bytes:
    """A file of the cache, if nobody else can have written it; it is judged by what was opened."""
    with path.open("rb") as file:
        if found := judged(path, os.fstat(file.fileno())):
            raise UnsafeCacheError(
                f"{path} is not run: it {found.why}; remove it, and it is compiled again: rm -f {shlex.quote(str(path))}"
            )
        return file.read()


def stored(path: Path) -> tuple[dict[str, int], bytes] | None:
    """(exports, object) from the cache; None where they are missing or not what was written: LLVM would crash on them."""
    try:
        manifest, data = json.loads(read_ours(path.with_suffix(".json"))), read_ours(path)
        return (manifest["exports"], data) if manifest["sha256"] == hashlib.sha256(data).hexdigest() else None
    except OSError as error:
        if is_scarce(error):
            raise
    except (ValueError, KeyError, TypeError):
        pass
    return None


class Engine:
    """Objects in memory, each in one piece, as an object reaches only 2 GB of itself: between the libraries of a large
    process (PyTorch's, say) there is rarely room for its sections side by side.

    Symbols of libc are found in the process. The code stays until the process ends.
    """

    def __init__(self, contents: Iterable[tuple[Iterable[str], bytes]]) -> None:
        """Load (exports, object) pairs."""
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(jit=True)
        linker, self._exports = llvm.JITLibraryBuilder().add_current_process(), set[str]()
        for exports, data in contents:
            linker.add_object_img(data)
            self._exports.update(exports)
        for name in self._exports:
            linker.export_symbol(name)
        self._linked = linker.link(llvm.create_lljit_compiler(machine, use_jit_link=True), "rt_engine")
        _LOADED.append(self._linked)

    def get_function_address(self, name: str) -> int:
        """Of an export; 0 for another name."""
        return int(self._linked[name]) if name in self._exports else 0


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Hold a lock file, so that two processes do not build the same library at once; who must wait for it says so."""
    with path.open("w", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            from rt_native.terminal import Terminal

            Terminal(stderr=True).print(f"Waiting for another process, which compiles {path.stem!r} ...")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
