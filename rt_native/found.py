"""Modules that are found by being in a folder: kinds of links, kinds of servers, commands, engines to compare with."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType


def modules(package: str, path: Iterable[str]) -> list[ModuleType]:
    """Every module in a package's `path`, by the place that it gives itself as `ORDER`, lowest first; no folders.

    Raises:
        ImportError: a module gives itself no place, or one that another has; names the files.
    """
    places: dict[int, ModuleType] = {}
    for name in (f"{package}.{module.name}" for module in iter_modules(path) if not module.ispkg):
        module = import_module(name)
        if not isinstance(getattr(module, "ORDER", None), int):
            raise ImportError(f"{module.__file__} says no place among the others; write for example ORDER = 30")
        other = places.setdefault(module.ORDER, module)
        if other is not module:
            raise ImportError(f"{other.__file__} and {module.__file__} have the same place, ORDER = {module.ORDER}")
    return [places[order] for order in sorted(places)]
