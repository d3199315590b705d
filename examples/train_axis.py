"""Train the two networks of `rt-engine demo --ethercat` with scikit-learn and export them to ONNX.

    python examples/train_axis.py [FOLDER]       (default: station/demo/axis)

Each imitates a controller of the axis, which is a motor of 1.3 Nm with 3e-4 kg m^2 that a load of 0.05 Nm pulls back:

    observation [1, 4]: reference (rad), reference velocity (rad/s), position (rad), velocity (rad/s)
    torque      [1, 1]: % of the rated torque

The first one is soft and knows nothing of the load, the second is stiff and holds against it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from skl2onnx import to_onnx
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

INERTIA_KG_M2, LOAD_NM, FRICTION_NM, RATED_NM = 3e-4, 0.05, 0.02, 1.3
LIMIT = 60.0
SAMPLES, HIDDEN = 40_000, (32, 32)
Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Law:
    """A controller: its bandwidth in 1/s, and whether it gives what load and friction take."""

    bandwidth: float
    compensates: bool

    def torque(self, observation: Array) -> Array:
        """[n, 4] -> [n], in % of the rated torque."""
        reference, wanted, position, velocity = observation.T
        newton_metres = INERTIA_KG_M2 * (
            self.bandwidth**2 * (reference - position) + 2 * 0.9 * self.bandwidth * (wanted - velocity)
        )
        if self.compensates:
            newton_metres = newton_metres + LOAD_NM + FRICTION_NM * np.tanh(wanted / 0.3)
        return np.clip(100 * newton_metres / RATED_NM, -LIMIT, LIMIT)


def network(law: Law, seed: int) -> onnx.ModelProto:
    """A network that imitates the law."""
    rng = np.random.default_rng(seed)
    reference = rng.uniform(-1.0, 1.0, SAMPLES)
    wanted = rng.uniform(-2.2, 2.2, SAMPLES)
    spread = rng.choice([0.02, 0.1, 0.5], SAMPLES)
    error, slip = spread * rng.standard_normal(SAMPLES), 10 * spread * rng.standard_normal(SAMPLES)
    observations = np.stack([reference, wanted, reference - error, wanted - slip], axis=1)
    torque = law.torque(observations) / LIMIT
    learner = MLPRegressor(
        hidden_layer_sizes=HIDDEN, activation="tanh", random_state=seed, max_iter=200, tol=1e-7, n_iter_no_change=30
    )
    model = make_pipeline(StandardScaler(), learner).fit(observations, torque)
    off = np.abs(model.predict(observations) - torque) * LIMIT
    print(f"bandwidth {law.bandwidth:g}: off by {off.mean():.2f} %, {off.max():.1f} % at most")
    proto: onnx.ModelProto = to_onnx(model, observations[:1].astype(np.float32), target_opset={"": 17, "ai.onnx.ml": 3})
    return scaled(proto)


def scaled(proto: onnx.ModelProto) -> onnx.ModelProto:
    """With names, and its output in %."""
    graph = proto.graph
    first, last = graph.input[0].name, graph.output[0].name
    for node in graph.node:
        node.input[:] = ["observation" if name == first else name for name in node.input]
    graph.input[0].name, graph.output[0].name = "observation", "torque"
    graph.output[0].type.tensor_type.shape.dim[0].dim_value = 1
    graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    graph.initializer.append(onnx.numpy_helper.from_array(np.array([[LIMIT]], np.float32), "limit"))
    graph.node.append(onnx.helper.make_node("Mul", [last, "limit"], ["torque"], name="in percent"))
    onnx.checker.check_model(proto)
    return proto


def main() -> None:
    """Write hold-v1.onnx and hold-v2.onnx."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "station/demo/axis")
    for name, law in {"hold-v1": Law(25.0, False), "hold-v2": Law(60.0, True)}.items():
        onnx.save(network(law, seed=1), folder / f"{name}.onnx")


if __name__ == "__main__":
    main()
