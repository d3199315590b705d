"""Modules that are found by being in a folder: kinds of links, kinds of servers, commands."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType


def modules(package: ModuleType) -> list[ModuleType]:
    """Every module of a package, by the place that it gives itself as `ORDER`, lowest first. Folders in it are none."""
    found = (import_module(f"{package.__name__}.{m.name}") for m in iter_modules(package.__path__) if not m.ispkg)
    return sorted(found, key=lambda module: module.ORDER)
