"""What is compiled while a station is made."""

from types import SimpleNamespace

import station.demo.demo  # noqa: F401  # brings the simulated bus of the other demo
from rt_native import background
from rt_native.library import Library
from station.running import libraries


def test_the_rest_is_off_the_tasks_cores_whoever_starts_it(monkeypatch):
    """The first model that needs a kernel does, before the station is made."""
    begun: list[list[str]] = []
    monkeypatch.setattr(background, "Thread", lambda args, **_: SimpleNamespace(start=lambda: begun.extend(args)))
    monkeypatch.setattr(background, "_STARTED", set())
    monkeypatch.setattr(background, "_TAKEN", set())
    monkeypatch.setattr(libraries, "_missing", lambda _: [])
    monkeypatch.delenv("RT_ENGINE_COMPILE", raising=False)
    tasks = {"fast": SimpleNamespace(cpu=3, helper_cpus=(2,)), "slow": SimpleNamespace(cpu=None, helper_cpus=())}
    with libraries.compiling(SimpleNamespace(tasks=tasks)):
        background.start(Library("kernels", ("rt_native.histogram_native",)))
    assert [command[-2:] for command in begun] == [["2,3", "kernels=rt_native.histogram_native"]]


def test_a_station_waits_for_nothing_that_only_a_command_uses():
    running = {library.name for library in libraries.libraries()}
    more = {library.name for library in libraries.every()} - running
    assert {"scheduler", "fieldbus.exchange", "kernels"} <= running
    assert {"fieldbus.ethercat.simulated", "fieldbus.ethercat.simulated.slaves", "measuring", "tuning"} <= more
    assert {library.name for library in libraries.libraries()} == running
