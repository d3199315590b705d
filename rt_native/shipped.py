"""The native libraries that a wheel carries: chosen, checked, loaded, without LLVM or Numba. A clone has none.

libraries/manifest.json       beside this file: hashes of the files, and of the sources that each native module was made of
          x86-64-v3.so        every native module, one shared object a level
          x86-64-v3.zip       the same as object files, for `rt-engine export c`

    sources as they were? --> the best level that this processor fits --> owner, rights, hash of the file --> those bytes, loaded

`rt_native.shipping` writes them.
"""

import ctypes
import hashlib
import io
import json
import os
import threading
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rt_native import loading
from rt_native.errors import BuildError, UnsafeCacheError
from rt_native.features import host_architecture, host_features
from rt_native.levels import LEVELS, fitting
from rt_native.machine import Target
from rt_native.target import host
from rt_native.trust import judged, unsafe

FOLDER = Path(__file__).with_name("libraries")
MANIFEST = "manifest.json"
AGAIN = "install it again: pip install --force-reinstall --no-deps rt-engine"

_ROOT = Path(__file__).parent.parent
_LOADED: dict[str, ctypes.CDLL] = {}
_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True)
class Level:
    """What the wheel has for one level."""

    name: str
    target: Target
    library: Mapping[str, Any]
    """Of the shared object: `file`, `sha256`."""
    objects: Mapping[str, Any]
    """Of the object files."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the wheel has."""

    levels: tuple[Level, ...]
    sources: Mapping[str, str]
    """File, relative to our packages -> SHA-256 of it as the libraries were made."""
    modules: Mapping[str, Mapping[str, Any]]
    """Native module -> its `exports` (name -> number of arguments), and the `sources` that it was made of."""


@dataclass(frozen=True, slots=True)
class Shipped:
    """Some native modules for one level."""

    level: Level
    modules: Mapping[str, Mapping[str, Any]]

    @property
    def exports(self) -> dict[str, int]:
        """Name -> number of arguments."""
        return {name: count for module in self.modules.values() for name, count in module["exports"].items()}

    def load(self) -> "Loaded":
        """The level's shared object, in this process; once, whatever the number of libraries.

        Raises:
            BuildError: it is not what the wheel was made with, or the system does not let us load it.
            UnsafeCacheError: another user could change it.
        """
        with _LOCK:
            if self.level.name not in _LOADED:
                _LOADED[self.level.name] = loading.load(_read(**self.level.library), f"rt-engine {self.level.name}")
            return Loaded(_LOADED[self.level.name])

    def content(self) -> dict[str, tuple[dict[str, int], bytes]]:
        """Module -> (exports, object file). Raises as `load`."""
        with zipfile.ZipFile(io.BytesIO(_read(**self.level.objects))) as archive:
            return {name: (dict(module["exports"]), archive.read(f"{name}.o")) for name, module in self.modules.items()}

    def versions(self) -> dict[str, str]:
        """Module -> a name for its code: another for other code."""
        return {name: f"{name}-{self.level.name}-{self.level.library['sha256'][:20]}" for name in self.modules}


@dataclass(frozen=True, slots=True)
class Loaded:
    """A shared object in this process."""

    library: ctypes.CDLL

    def get_function_address(self, name: str) -> int:
        """0: it has no such function."""
        try:
            return ctypes.cast(getattr(self.library, name), ctypes.c_void_p).value or 0
        except AttributeError:
            return 0


def find(modules: tuple[str, ...], target: Target | None) -> Shipped | None:
    """These modules, as the wheel has them for a target (None: the best for this machine); None: see `why_not`.

    Raises:
        BuildError: the folder cannot be read.
        UnsafeCacheError: another user could change what is in it.
        UnsupportedCpu: no level fits this machine.
    """
    found = _manifest()
    if found is None or any(module not in found.modules for module in modules) or _edited(modules):
        return None
    level = _level(found, target)
    return None if level is None else Shipped(level, {module: found.modules[module] for module in modules})


def named(files: Sequence[Path]) -> tuple[str, ...]:
    """The module of the wheel that has the text of a user's step: a copy of one that we wrote. (): none has."""
    found = _manifest()
    if found is None or len(files) != 1:
        return ()
    text = digest(files[0].read_bytes())
    return tuple(name for name in found.modules if found.sources.get(f"{name.replace('.', '/')}.py") == text)[:1]


def why_not(modules: tuple[str, ...], target: Target | None) -> str:
    """Why a wheel's libraries do not serve, in words; "" where there are none that might."""
    found = _manifest()
    if found is None or any(module not in found.modules for module in modules):
        return ""
    if edited := _edited(modules):
        return f"the libraries in {FOLDER} were made of other sources ({_ROOT / edited[0]} is another file now)"
    if _level(found, target) is not None:
        return ""
    has, wanted = ", ".join(level.name for level in found.levels), target or host()
    name = next((level.name for level in LEVELS.values() if level.target == wanted), str(wanted))
    return f"the libraries in {FOLDER} are for {has}, not for {name}"


def has_libraries() -> bool:
    """Is this an installation of a wheel with libraries?"""
    return (FOLDER / MANIFEST).is_file()


@cache
def _manifest() -> Manifest | None:
    if not has_libraries():
        return None
    try:
        if found := unsafe(FOLDER):
            raise UnsafeCacheError(
                f"the libraries in {FOLDER} are not loaded, another user could change what runs: {found}"
            )
        told = json.loads(_bytes(FOLDER / MANIFEST))
        levels = tuple(Level(**{**entry, "target": Target(**entry["target"])}) for entry in told["levels"])
        return Manifest(levels, told["sources"], told["modules"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BuildError(f"{FOLDER / MANIFEST} cannot be used ({type(error).__name__}: {error}); {AGAIN}") from error


def _level(found: Manifest, target: Target | None) -> Level | None:
    """The level with this very target; where none is given, this machine's, or the best that it fits."""
    ours = target or host()
    if exact := [level for level in found.levels if level.target == ours]:
        return exact[0]
    if target is not None or "RT_ENGINE_LEVEL" in os.environ:  # that one, no other
        return None
    named = {level.name: level for level in found.levels if level.target.arithmetic == ours.arithmetic}
    fits = fitting(host_architecture(), host_features())
    return next((named[level.name] for level in fits if level.name in named), None)


def _edited(modules: tuple[str, ...]) -> list[str]:
    """The sources of these modules that are not what the libraries were made of."""
    found = _manifest()
    assert found is not None
    names = dict.fromkeys(name for module in modules for name in found.modules[module]["sources"])
    return [name for name in names if _hash(name) != found.sources[name]]


@cache
def _hash(name: str) -> str:
    try:
        return digest((_ROOT / name).read_bytes())
    except OSError:
        return ""


def digest(data: bytes) -> str:
    """SHA-256, as the manifest has it."""
    return hashlib.sha256(data).hexdigest()


def _read(file: str, sha256: str) -> bytes:
    """A file of the wheel, read once: what is checked is what is used."""
    path = FOLDER / file
    try:
        data = _bytes(path)
    except OSError as error:
        raise BuildError(f"the native library {path} cannot be read: {error}; {AGAIN}") from error
    if digest(data) != sha256:
        raise BuildError(
            f"the native library {path} is not loaded: it is not the file that was installed "
            f"(SHA-256 {digest(data)[:16]}..., expected {sha256[:16]}...); {AGAIN}"
        )
    return data


def _bytes(path: Path) -> bytes:
    """The content of a file that nobody else can write; it is judged by what was opened."""
    with path.open("rb") as file:
        if found := judged(path, os.fstat(file.fileno())):
            raise UnsafeCacheError(
                f"{path} is not loaded, another user could change what runs: it {found.why}; {found.mend}"
            )
        return file.read()
