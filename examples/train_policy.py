"""Train the demo's policy networks with PyTorch and export them to ONNX.

    python examples/train_policy.py [FOLDER]        (default: station/demo/data; half a minute on one core)

Each policy is a network 7-64-64-1 (tanh, float32) that imitates a teacher, a linear-quadratic regulator designed on the
machine's own equations. One network serves both axes.
Their contracts, and the further networks of the demo, demo_changes.py adds to these files:

    observation [batch, 7]: position m, velocity m/s, angle rad, angular velocity rad/s, reference m, m/s, m/s^2
    force       [batch, 1]: N, always within the drive's limit

    policy-v1.onnx      acceptable: a soft teacher that follows the reference's velocity
    policy-v2.onnx      better: a stiffer teacher that also uses the reference's acceleration
    policy-v3-bad.onnx  of the wrong shape: two observations are missing, so no running task may take it
"""

from __future__ import annotations

import logging
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from scipy.linalg import solve_continuous_are
from torch import nn

from station.demo.machine import Machine
from station.demo.physics import NOMINAL, accelerations
from station.demo.rehearsal import OBSERVATION, Policy, rehearse

SCALE = (0.2, 0.5, 0.2, 1.0, 0.2, 0.3, 0.3)  # typical size of each observation
BATCH, STEPS, RATE = 1024, 4000, 5e-3


@dataclass(frozen=True)
class Teacher:
    """A regulator around the reference: weights of its quadratic cost; whether it feeds the acceleration forward."""

    position_weight: float
    velocity_weight: float
    feeds_acceleration: bool

    def gain(self) -> npt.NDArray[np.float64]:
        """Force per deviation of (position, velocity, angle, angular velocity): the Riccati equation's solution."""
        state, force = linearise()
        cost = np.diag([self.position_weight, self.velocity_weight, 10.0, 1.0])
        effort = np.array([[0.02]])
        return np.linalg.solve(effort, force.T @ solve_continuous_are(state, force, cost, effort))[0]

    def force(self, observation: torch.Tensor) -> torch.Tensor:
        """Force (N) for each row of observations, softly limited as the drive's limit demands."""
        motion, (place, speed, acceleration) = observation[:, :4], observation[:, 4:].T
        if not self.feeds_acceleration:
            acceleration = torch.zeros_like(acceleration)
        lean = acceleration / NOMINAL.gravity_m_per_s2  # a cart that speeds up carries its rod leaning forward
        target = torch.stack((place, speed, lean, torch.zeros_like(lean)), dim=1)
        steady = (NOMINAL.cart_kg + NOMINAL.rod_kg) * acceleration + NOMINAL.rail_friction_ns_per_m * speed
        force = steady - (motion - target) @ torch.tensor(self.gain(), dtype=torch.float32)
        return NOMINAL.force_limit_n * torch.tanh(force / NOMINAL.force_limit_n).unsqueeze(1)


class PolicyNetwork(nn.Module):
    """Observations in SI units -> force in N; scaling and the drive's limit are part of the network."""

    def __init__(self, inputs: int = len(OBSERVATION)) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(SCALE[:inputs]))
        self.layers = nn.Sequential(
            nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1), nn.Tanh()
        )

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        """Force for each row of observations."""
        return NOMINAL.force_limit_n * self.layers(observation / self.scale)


def linearise() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """State and input matrix of the upright machine, by central differences of its equations."""

    def rates(point: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        _, velocity, angle, angular_velocity, force = point
        cart, rod = accelerations(velocity, math.sin(angle), math.cos(angle), angular_velocity, force, NOMINAL)
        return np.array([velocity, cart, angular_velocity, rod])

    nudges = 1e-6 * np.eye(5)
    jacobian = np.stack([(rates(nudge) - rates(-nudge)) / 2e-6 for nudge in nudges], axis=1)
    return jacobian[:, :4], jacobian[:, 4:]


def observations(count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Random observations, and the size of each row's deviation from the reference: from tiny to a fall."""
    size = 10.0 ** (-2.0 + 2.3 * torch.rand((count, 1), generator=generator))
    deviation = size * torch.randn((count, 4), generator=generator) * torch.tensor([0.1, 0.3, 0.1, 0.5])
    reference = torch.empty((count, 3)).uniform_(-1.0, 1.0, generator=generator) * torch.tensor([0.2, 0.25, 0.4])
    lean = reference[:, 2:] / NOMINAL.gravity_m_per_s2
    followed = torch.cat((reference[:, :2], lean, torch.zeros_like(lean)), dim=1)
    return torch.cat((followed + deviation, reference), dim=1), size


def train(teacher: Teacher, seed: int) -> PolicyNetwork:
    """A network that imitates the teacher, equally well (relative to the deviation) near and far from the reference."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    network = PolicyNetwork()
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for _ in range(STEPS):
        inputs, size = observations(BATCH, generator)
        error = (network(inputs) - teacher.force(inputs)) / (0.1 + size)
        loss = (error * error).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return network.eval()


def export(network: PolicyNetwork, path: Path) -> None:
    """Write one ONNX file with a free batch dimension, without the exporter's notes on its own sources."""
    example = torch.zeros((2, network.scale.numel()))
    program = torch.onnx.export(
        network,
        (example,),
        dynamo=True,
        opset_version=18,
        input_names=["observation"],
        output_names=["force"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        verbose=False,
    )
    model = program.model_proto
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info):
        part.ClearField("metadata_props")
    onnx.save(model, path)


def tracking(network: PolicyNetwork) -> str:
    """How the network holds the machine behind a Modbus link, in words."""

    def policy(observation: tuple[float, ...]) -> float:
        return float(network(torch.tensor([observation])))

    machine = Machine()
    with torch.no_grad():
        for phase_s in (2.0, 20.0):  # take-off, then what counts
            present: Policy = policy
            for _ in rehearse(machine, lambda _, present=present: present, phase_s):
                pass
            result = machine.mark("run")
    return ", ".join(
        f"{name}: tracking error {axis['tracking_rms_m'] * 1e3:.1f} mm RMS, held {sum(axis['holds'].values())} times"
        for name, axis in result["axes"].items()
    )


def main() -> None:
    """Train, try and write the three policies."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1] / "station" / "demo" / "data")
    torch.set_num_threads(1)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of every optional package that is absent
    teachers = {
        "policy-v1": Teacher(position_weight=400.0, velocity_weight=5.0, feeds_acceleration=False),
        "policy-v2": Teacher(position_weight=2000.0, velocity_weight=10.0, feeds_acceleration=True),
    }
    for seed, (name, teacher) in enumerate(teachers.items(), start=1):
        network = train(teacher, seed)
        export(network, folder / f"{name}.onnx")
        print(f"{name}: {tracking(network)}")
    export(PolicyNetwork(inputs=5).eval(), folder / "policy-v3-bad.onnx")


if __name__ == "__main__":
    main()
