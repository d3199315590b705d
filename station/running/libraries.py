"""The native libraries that a station runs on, so that they can be built before it starts; and all that there are."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rt_native.library import Library
    from station.file.config import StationConfig


def libraries() -> list[Library]:
    """Those that the modules of a running station declare, in the order in which it imports them; whatever else is imported."""
    import scheduler.replay  # noqa: F401  # its gate may run a new version over a recording
    import station.running.station  # noqa: F401
    from station.links import link_tables

    for table in link_tables():
        for name in table.libraries:
            import_module(name)
    return [library for library in _declared() if library not in _declared(_MORE)]


@contextmanager
def compiling(config: StationConfig | None = None) -> Iterator[None]:
    """While a station is made: what every station runs on is compiled beside what its models need, where it is not there yet.

    One program compiles all of it (`rt_native.programs`), from the first moment on: what is imported within takes no time of its
    own, and is all in use, so Python's collector of cycles rests. The rest follows in the background (`rt_native.background`), off
    the cores that `config` gives to tasks.

    Raises:
        NativeError: something could not be compiled.
    """
    from rt_engine.lower.resting import uncollected
    from rt_native import background

    tasks = config.tasks.values() if config else ()
    background.stay_off(core for task in tasks for core in (task.cpu, *task.helper_cpus) if core is not None)
    missing = [] if background.mode() == "never" else _missing(background.mode() == "all")
    with uncollected(), ThreadPoolExecutor(max(len(missing), 1)) as pool, _together(missing):
        jobs = [pool.submit(library.build) for library in missing if not library.is_apart or background.mode() == "all"]
        yield
        for job in jobs:
            job.result()
    if missing:
        background.start(*(library for library in libraries() if not library.is_built()))


def _missing(all_of_them: bool) -> list[Library]:
    for name in _FIRST:
        import_module(name)
    return [library for library in (libraries() if all_of_them else _declared(_FIRST)) if not library.is_built()]


@contextmanager
def _together(missing: list[Library]) -> Iterator[None]:
    if not missing:
        yield
        return
    from rt_native.programs import together
    from rt_native.progress import terminal_progress

    first, *more = (library.job(library.objects()) for library in missing)
    everything = {
        **first,
        "outputs": {module: path for job in (first, *more) for module, path in job["outputs"].items()},
    }
    with together("station", everything, terminal_progress("this machine")):
        yield


def every() -> list[Library]:
    """And those that only some commands use, and the steps of our demos: what a wheel carries."""
    from rt_native.library import Library

    running = libraries()
    for name in _MORE:
        import_module(name)
    return [*dict.fromkeys([*running, *_declared()]), Library("demo steps", _STEPS, path=(str(_ROOT),))]


_FIRST = (
    "scheduler.native",
    "rt_engine.run.native",
    "fieldbus.exchange.memory",
    "fieldbus.image.image",
    "plc_bindings.calls.replay",
    "rt_engine.run.team",
)
"""Modules that declare what every station runs on, from its first cycle; they import little themselves."""
_MORE = (
    "fieldbus.ethercat.simulated.native",
    "fieldbus.ethercat.simulated.slave",
    "rt_engine.measure.native",
    "rt_engine.tune.rounds",
)
"""Modules that declare the others."""
_STEPS = ("station.demo.axis.setpoint",)
"""Of stations that the package has in it."""
_ROOT = Path(__file__).parents[2]


def _declared(names: Iterable[str] | None = None) -> list[Library]:
    """By modules of these names, or by all, as far as they are imported."""
    from rt_native.library import Library

    modules = [sys.modules[name] for name in (list(sys.modules) if names is None else names) if name in sys.modules]
    values = [value for module in modules for value in vars(module).values()]
    return list(dict.fromkeys(value for value in values if isinstance(value, Library)))
