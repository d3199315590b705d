"""The engines that we are compared with: one file each, found by being in this folder.

A file has its place as `ORDER`, and `ENGINES`: a tuple of `Engine`. The first ones are what results are compared with where a
model brings none.
"""

import importlib.util

from rt_engine.measure.engines import Engine, MissingPeerError
from rt_native.found import modules

PEERS: dict[str, Engine] = {engine.name: engine for found in modules(__name__, __path__) for engine in found.ENGINES}
"""Name -> engine, in their order."""


def is_installed(name: str) -> bool:
    """Are the packages of a peer there?"""
    return all(importlib.util.find_spec(package) is not None for package in PEERS[name].packages)


def peers(names: str | None) -> tuple[Engine, ...]:
    """Peers from a comma-separated list; without one, the default ones that are installed.

    Raises:
        MissingPeerError: a name is unknown, or its package is not installed.
    """
    if names is None:
        return tuple(engine for name, engine in PEERS.items() if engine.by_default and is_installed(name))
    chosen = tuple(n.strip() for n in names.split(",") if n.strip())
    for name in chosen:
        if name not in PEERS:
            raise MissingPeerError(f"there is no peer '{name}'; there is {', '.join(PEERS)}")
        if not is_installed(name):
            raise MissingPeerError(f"{name} is not installed: pip install {' '.join(PEERS[name].packages)}")
    return tuple(PEERS[name] for name in chosen)
