"""The demo's closed loop without processes, sockets or waiting: machine, Modbus delay and jitter, and a policy.

For the training scripts in examples/ and for tests; the real loop is `rt-engine demo`.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from station.demo.machine import AXES, COMMAND_ADDRESS, SENSORS, Machine

OBSERVATION = (
    "position",
    "velocity",
    "angle",
    "angular_velocity",
    "reference",
    "reference_velocity",
    "reference_acceleration",
)
AXIS_VALUES = len(OBSERVATION) + 1  # and the force

Policy = Callable[[tuple[float, ...]], float]
"""Observation of one axis (`OBSERVATION`) -> force in N."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """Times of one exchange with the machine: each drawn evenly from its range."""

    read_to_write_s: tuple[float, float] = (0.0005, 0.003)  # reading, a tick of the task, writing
    write_to_read_s: tuple[float, float] = (0.002, 0.006)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the controller read at one exchange, and what it commands."""

    time_s: float
    observations: tuple[tuple[float, ...], ...]  # of each axis
    forces: tuple[float, ...]  # that the motors applied when read
    holds: tuple[int, ...]
    commands: tuple[float, ...]


def rehearse(
    machine: Machine,
    policy: Callable[[float], Policy | None],
    duration_s: float,
    *,
    exchange: Exchange = Exchange(),
    seed: int = 1,
) -> Iterator[Snapshot]:
    """Run the closed loop, one snapshot per exchange; `policy(time_s)` is the one in force then, None a cut cable."""
    jitter = random.Random(seed)
    time_s = 0.0
    machine.advance(time_s)
    while time_s < duration_s:
        time_s += jitter.uniform(*exchange.write_to_read_s)
        machine.advance(time_s)
        sensors = machine.sensors()
        values = SENSORS.unpack(struct.pack(f">{len(sensors)}H", *sensors))
        axes = [values[AXIS_VALUES * place : AXIS_VALUES * (place + 1)] for place in range(len(AXES))]
        present = policy(time_s)
        commands = tuple(present(axis[:-1]) for axis in axes) if present else ()
        time_s += jitter.uniform(*exchange.read_to_write_s)
        machine.advance(time_s)
        if present:
            packed = struct.pack(f">{len(commands)}f", *commands)
            machine.write(COMMAND_ADDRESS, list(struct.unpack(f">{len(packed) // 2}H", packed)))
        yield Snapshot(
            time_s=time_s,
            observations=tuple(axis[:-1] for axis in axes),
            forces=tuple(axis[-1] for axis in axes),
            holds=tuple(values[AXIS_VALUES * len(AXES) :][: len(AXES)]),
            commands=commands,
        )
