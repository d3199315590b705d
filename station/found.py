"""Modules that are found by being in a folder: kinds of links, kinds of servers, commands."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType


def modules(package: str, path: Iterable[str]) -> list[ModuleType]:
    """Every module in a package's `path`, by the place that it gives itself as `ORDER`, lowest first; no folders."""
    found = (import_module(f"{package}.{module.name}") for module in iter_modules(path) if not module.ispkg)
    return sorted(found, key=lambda module: module.ORDER)
