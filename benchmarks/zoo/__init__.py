"""The models that speed is measured on: what machine builders export, each by its framework's own exporter.

    for entry in entries():
        made = entry.get()                  # exported once, then read from the cache folder
        rt_engine.load(made.path).run(made.inputs)   # -> made.outputs, within made.tolerance

One file per family; a family is found by being in this folder. Weights and inputs come from fixed seeds. Files are kept in the
cache folder of the engine (`rt_native.library.cache_folder`), under a hash of the family's source and the exporters' versions.
"""

import hashlib
import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from rt_native.cache import cache_folder

Arrays = dict[str, NDArray[Any]]
Export = tuple[onnx.ModelProto, Arrays, Arrays]
"""Model, example inputs by name, the framework's own outputs by name."""


@dataclass(frozen=True, slots=True)
class Made:
    """An exported model, example inputs, and what the framework itself computes for them."""

    path: Path
    inputs: Arrays
    outputs: Arrays
    tolerance: float
    samples: tuple[Arrays, ...] = ()
    """Inputs that take their turns where time may depend on them; none where it does not."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of the zoo."""

    name: str
    title: str
    export: Callable[[], Export]
    tolerance: float
    """The greatest difference from the framework, as a share of the greatest output."""
    state: tuple[tuple[str, str], ...]
    """(output, input) pairs that carry state from run to run."""
    source: Path
    tools: tuple[str, ...]
    samples: Callable[[], NDArray[Any]] | None = None
    """Samples [count, ...] for the only input, if time may depend on it."""

    def get(self) -> Made:
        """The exported files, made if they are not in the cache yet."""
        digest = hashlib.sha256(self.source.read_bytes())
        for tool in self.tools:
            digest.update(f"{tool} {version(tool)}".encode())
        folder = cache_folder() / "zoo"
        stem = f"{self.name}-{digest.hexdigest()[:12]}"
        model, arrays = folder / f"{stem}.onnx", folder / f"{stem}.npz"
        if not (model.exists() and arrays.exists()):
            folder.mkdir(parents=True, exist_ok=True)
            _write(model, arrays, *self.export())
        stored = np.load(arrays)
        inputs, outputs = (
            {k.removeprefix(prefix): stored[k] for k in stored.files if k.startswith(prefix)}
            for prefix in ("in:", "out:")
        )
        rows = () if self.samples is None else self.samples()
        samples = tuple({name: row.reshape(x.shape) for name, x in inputs.items()} for row in rows)
        return Made(model, inputs, outputs, self.tolerance, samples)


def _write(path: Path, arrays_path: Path, model: onnx.ModelProto, inputs: Arrays, outputs: Arrays) -> None:
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    new = [p.with_suffix(f".{os.getpid()}{p.suffix}") for p in (path, arrays_path)]
    onnx.save(model, new[0])
    named = {f"in:{k}": v for k, v in inputs.items()} | {f"out:{k}": v for k, v in outputs.items()}
    np.savez(new[1], **named)  # type: ignore[arg-type]  # names of arrays, not options
    for temporary, final in zip(new, (path, arrays_path), strict=True):
        temporary.replace(final)


_ENTRIES: dict[str, Entry] = {}
ORDER = ("mlp", "convolutional", "speech", "residual", "transformer", "recurrent", "trees", "classical", "quantised")
"""Families in the order of the table; a family that is not named comes last."""


def model(
    name: str,
    title: str,
    *,
    tolerance: float = 1e-5,
    state: tuple[tuple[str, str], ...] = (),
    tools: tuple[str, ...] = (),
    samples: Callable[[], NDArray[Any]] | None = None,
) -> Callable[[Callable[[], Export]], Callable[[], Export]]:
    """Register a function that exports a model of the zoo. `tools` are the packages that make it; `samples`: see `Entry`."""

    def register(export: Callable[[], Export]) -> Callable[[], Export]:
        source = Path(export.__code__.co_filename)
        _ENTRIES[name] = Entry(name, title, export, tolerance, state, source, tools, samples)
        return export

    return register


@cache
def _load_families() -> None:
    found = [m.name for m in iter_modules(__path__) if not m.name.startswith("_")]
    for family in sorted(found, key=lambda f: (ORDER.index(f) if f in ORDER else len(ORDER), f)):
        import_module(f"{__name__}.{family}")


def entries() -> tuple[Entry, ...]:
    """Every model of the zoo, in the order of the table."""
    _load_families()
    return tuple(_ENTRIES.values())


def entry(name: str) -> Entry:
    """The model of that name.

    Raises:
        KeyError: there is none; the message names all.
    """
    _load_families()
    if name not in _ENTRIES:
        raise KeyError(f"the zoo has no model '{name}'; it has {', '.join(_ENTRIES)}")
    return _ENTRIES[name]


def is_installed(tool: str) -> bool:
    """Is the package of an exporter there?"""
    return importlib.util.find_spec({"scikit-learn": "sklearn"}.get(tool, tool)) is not None
