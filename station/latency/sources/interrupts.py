"""Interrupts of each core by name: /proc/interrupts; and what the kernel does after them: /proc/softirqs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from station.latency.sources import Counter, Scene, Source

ORDER = 10


def read(scene: Scene) -> Mapping[Counter, float]:
    """Both, of the cores of the tasks."""
    return dict([*_table(scene, "/proc/interrupts", "interrupt"), *_table(scene, "/proc/softirqs", "softirq")])


def _table(scene: Scene, path: str, source: str) -> Iterator[tuple[Counter, float]]:
    header, *lines = (scene.computer.read(path) or "").splitlines() or [""]
    columns = header.split()
    places = {cpu: columns.index(f"CPU{cpu}") for cpu in scene.cpus if f"CPU{cpu}" in columns}
    for line in lines:
        number, _, rest = line.strip().partition(":")
        words = rest.split()
        if len(words) < len(columns):  # ERR and MIS have one number for all
            continue
        device = " ".join(words[len(columns) :]) if not number.isdigit() else words[-1]
        for cpu, place in places.items():
            yield Counter(source, f"cpu{cpu}", f"{number} {device}".strip()), float(words[place])


SOURCE = Source("interrupts", "interrupts and softirqs of each core, by name", read, "/proc/interrupts is not readable")
