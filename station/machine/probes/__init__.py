"""What a machine's own files say about how ready it is for real time: one file for each family of questions, found by being here.

A probe is a pure function of a `Computer`, the files below its root, and gives facts, none where its question has no meaning (no
frequency control in a virtual machine, for example). It needs no rights: a file that may not be read is as one that is not
there, and is told at the end. A new family:

    FAMILY = "memory"       what it is called
    ORDER = 60              its own place among the others
    PROBES = (swap,)        each Computer -> Iterator[Fact]
    FOR_CARD = True         only where a network card is to be judged (`Computer.card`); left out: always

`examine` is what others call: `rt-engine doctor`, a station's report, a benchmark of latency.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Final

from rt_native.found import modules
from station.machine.computer import CPU_FOLDER, Computer, Fact

Probe = Callable[[Computer], Iterator[Fact]]

ON_HOST: Final = "on the host: "
_FIRST_LOOKED_AT: Final = ("/proc/version", "/proc/cpuinfo", f"{CPU_FOLDER}/online", "/proc/self/status")


@cache
def families() -> dict[str, tuple[tuple[Probe, ...], bool]]:
    """Family -> its probes, and: are they for a network card alone?"""
    return {
        module.FAMILY: (module.PROBES, getattr(module, "FOR_CARD", False)) for module in modules(__name__, __path__)
    }


def examine(machine: Computer) -> list[Fact]:
    """All facts of all probes, by family. A machine whose files a probe cannot make sense of is a fact too."""
    if all(machine.read(path) is None for path in _FIRST_LOOKED_AT):
        return [_nothing_seen()]
    found = [
        replace(fact, family=family)
        for family, (probes, is_for_card) in families().items()
        if machine.card or not is_for_card
        for probe in probes
        for fact in _facts(probe, machine)
    ]
    return [*found, *_denied(machine)]


def _facts(probe: Probe, machine: Computer) -> list[Fact]:
    try:
        return [_where_it_works(fact, machine) for fact in probe(machine)]
    except (ValueError, LookupError) as error:
        name = probe.__name__.replace("_", " ")
        return [Fact(name, "warn", "not understood", f"this system describes itself in an unknown way: {error}")]


def _where_it_works(fact: Fact, m: Computer) -> Fact:
    """In a container nothing of the system can be changed: only its host can."""
    if not fact.fix or not m.in_container or fact.fix.startswith(("docker", "podman", "kubectl")):
        return fact
    return replace(fact, fix=f"{ON_HOST}{fact.fix}")


def _nothing_seen() -> Fact:
    meaning = "/proc and /sys are not there, or may not be read: nothing of this computer can be judged from here"
    return Fact(
        "files", "bad", "none can be read", meaning, "sudo rt-engine doctor   # outside of the sandbox", "files"
    )


def _denied(m: Computer) -> Iterator[Fact]:
    """What stays open for want of rights."""
    if m.denied:
        first, *others = sorted(m.denied)
        more = f" and {len(others)} more" if others else ""
        meaning = "this user may not read them: what they say stays open"
        yield Fact("files", "ok", f"{first}{more}", meaning, "sudo rt-engine doctor", "files")
