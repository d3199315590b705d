"""The demo's mechanics: an inverted pendulum on a driven cart, with a holding brake and a cradle.

```
                 o           angle: 0 upright, positive leans to positive position
                /  rod, 2 * half_length_m
   brake ]=====/=====[       position: along the rail
        =[ cart    ]= <- force of the linear motor
   ===========================
```

Everything is in SI units. `accelerations` is plain arithmetic, so it takes floats as well as arrays of any library.
Equations: R. V. Florian, "Correct equations for the dynamics of the cart-pole system" (2007), with viscous friction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple


@dataclass(frozen=True, slots=True)
class Mechanics:
    """Constants of one axis. The free pendulum's unstable pole is at about 4.3 rad/s: it falls in a second."""

    cart_kg: float = 2.0
    rod_kg: float = 0.3
    half_length_m: float = 0.4
    rail_friction_ns_per_m: float = 2.0
    pivot_friction_nms: float = 0.002
    gravity_m_per_s2: float = 9.81
    motor_time_constant_s: float = 0.002  # the current loop of the drive
    force_limit_n: float = 30.0
    brake_deceleration_m_per_s2: float = 15.0
    cradle_rad_per_s: float = 20.0  # the cradle closes like a critically damped spring of this frequency
    cradle_play_rad: float = 0.02  # and leaves the rod leaning by this much, to the side that it leaned to


NOMINAL = Mechanics()


class Motion(NamedTuple):
    """The state of one axis: position in m, velocity in m/s, angle in rad, angular velocity in rad/s."""

    position: float = 0.0
    velocity: float = 0.0
    angle: float = 0.0
    angular_velocity: float = 0.0


def accelerations(
    velocity: Any, sine: Any, cosine: Any, angular_velocity: Any, force: Any, mechanics: Mechanics
) -> tuple[Any, Any]:
    """Accelerations (m/s^2 of the cart, rad/s^2 of the rod) under `force` (N); `sine` and `cosine` are the angle's."""
    total = mechanics.cart_kg + mechanics.rod_kg
    moment = mechanics.rod_kg * mechanics.half_length_m
    push = (
        force - mechanics.rail_friction_ns_per_m * velocity + moment * angular_velocity * angular_velocity * sine
    ) / total
    inertia = mechanics.half_length_m * (4.0 / 3.0 - mechanics.rod_kg * cosine * cosine / total)
    friction = mechanics.pivot_friction_nms * angular_velocity / moment
    angular = (mechanics.gravity_m_per_s2 * sine - cosine * push - friction) / inertia
    return push - moment * angular * cosine / total, angular


def swing(motion: Motion, force: float, step_s: float, mechanics: Mechanics = NOMINAL) -> Motion:
    """The free motion after `step_s` under a constant force: one Runge-Kutta step of fourth order."""
    _, v1, angle, w1 = motion
    half = 0.5 * step_s
    a1, b1 = accelerations(v1, math.sin(angle), math.cos(angle), w1, force, mechanics)
    v2, w2, q2 = v1 + half * a1, w1 + half * b1, angle + half * w1
    a2, b2 = accelerations(v2, math.sin(q2), math.cos(q2), w2, force, mechanics)
    v3, w3, q3 = v1 + half * a2, w1 + half * b2, angle + half * w2
    a3, b3 = accelerations(v3, math.sin(q3), math.cos(q3), w3, force, mechanics)
    v4, w4, q4 = v1 + step_s * a3, w1 + step_s * b3, angle + step_s * w3
    a4, b4 = accelerations(v4, math.sin(q4), math.cos(q4), w4, force, mechanics)
    sixth = step_s / 6.0
    return Motion(
        motion.position + sixth * (v1 + 2.0 * (v2 + v3) + v4),
        v1 + sixth * (a1 + 2.0 * (a2 + a3) + a4),
        angle + sixth * (w1 + 2.0 * (w2 + w3) + w4),
        w1 + sixth * (b1 + 2.0 * (b2 + b3) + b4),
    )


def hold(motion: Motion, step_s: float, mechanics: Mechanics = NOMINAL) -> Motion:
    """The motion after `step_s` with the brake on the rail and the cradle closed; exact for any step."""
    slowed = mechanics.brake_deceleration_m_per_s2 * step_s
    velocity = math.copysign(max(abs(motion.velocity) - slowed, 0.0), motion.velocity) + 0.0  # no -0.0
    position = motion.position + 0.5 * (motion.velocity + velocity) * step_s
    rate = mechanics.cradle_rad_per_s
    rest = math.copysign(mechanics.cradle_play_rad, motion.angle)
    offset = motion.angle - rest
    slope = motion.angular_velocity + rate * offset
    decay = math.exp(-rate * step_s)
    return Motion(
        position,
        velocity,
        rest + (offset + slope * step_s) * decay,
        (motion.angular_velocity - rate * slope * step_s) * decay,
    )


def at_rest(motion: Motion, mechanics: Mechanics = NOMINAL) -> bool:
    """Whether the brake has stopped the cart and the cradle holds the rod."""
    lean = abs(abs(motion.angle) - mechanics.cradle_play_rad)
    return motion.velocity == 0.0 and lean < 0.002 and abs(motion.angular_velocity) < 0.01


def energy(motion: Motion, mechanics: Mechanics = NOMINAL) -> float:
    """Kinetic plus potential energy in J; constant without friction and force."""
    moment = mechanics.rod_kg * mechanics.half_length_m
    across = motion.velocity + mechanics.half_length_m * motion.angular_velocity * math.cos(motion.angle)
    down = mechanics.half_length_m * motion.angular_velocity * math.sin(motion.angle)
    spin = moment * mechanics.half_length_m / 3.0 * motion.angular_velocity**2
    moving = mechanics.cart_kg * motion.velocity**2 + mechanics.rod_kg * (across**2 + down**2) + spin
    return 0.5 * moving + moment * mechanics.gravity_m_per_s2 * math.cos(motion.angle)
