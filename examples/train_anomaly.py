"""Train the demo's anomaly detector with scikit-learn and export it to ONNX.

    python examples/train_anomaly.py [FOLDER]       (default: station/demo/data; needs the policies of train_policy.py)

The detector sees the last 64 samples, 20 ms apart, of four signals of the machine, while healthy policies run it. A
pipeline of StandardScaler and PCA learns the few patterns that these windows are made of; what it cannot reconstruct is
abnormal:

    window [batch, 256]: x.angle[64], x.force[64], y.angle[64], y.force[64], each from the oldest to the newest sample
    score  [batch, 1]:   mean squared reconstruction error; 1.0 is what 999 of 1,000 healthy windows stay below

The score is not part of scikit-learn's pipeline, so a converter for it is registered with skl2onnx below.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx.reference import ReferenceEvaluator
from skl2onnx import to_onnx, update_registered_converter
from skl2onnx.algebra.onnx_ops import OnnxDiv, OnnxMatMul, OnnxMul, OnnxReduceMeanApi18, OnnxSub
from skl2onnx.common.data_types import FloatTensorType
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from station.demo.machine import Machine, Push
from station.demo.rehearsal import OBSERVATION, Policy, rehearse

SAMPLES, PERIOD_S = 64, 0.02
SIGNALS = ("x.angle", "x.force", "y.angle", "y.force")
SETTLE_S, RUN_S, PATTERNS = 3.0, 27.0, 16
Array = npt.NDArray[np.float32]


class ReconstructionScore(TransformerMixin, BaseEstimator):
    """Mean squared error after a PCA and back, divided by its quantile over the healthy windows."""

    def __init__(self, components: int, quantile: float = 0.999) -> None:
        self.components = components
        self.quantile = quantile

    def fit(self, windows: Array, y: None = None) -> ReconstructionScore:
        """Learn the patterns, and the size of a healthy error."""
        pca = PCA(self.components, svd_solver="full").fit(windows)
        self.mean_ = pca.mean_.astype(np.float32)
        self.patterns_ = pca.components_.astype(np.float32)
        self.healthy_ = np.float32(1.0)
        self.healthy_ = np.float32(np.quantile(self.transform(windows), self.quantile))
        return self

    def transform(self, windows: Array) -> Array:
        """Score of each window."""
        centred = windows - self.mean_
        error = centred - centred @ self.patterns_.T @ self.patterns_
        return np.mean(error * error, axis=1, keepdims=True) / self.healthy_


def score_shape(operator: Any) -> None:
    """For skl2onnx: one score per row."""
    operator.outputs[0].type = FloatTensorType([None, 1])


def convert_score(scope: Any, operator: Any, container: Any) -> None:
    """For skl2onnx: `ReconstructionScore.transform` in ONNX operators."""
    score, version = operator.raw_operator, {"op_version": container.target_opset}
    centred = OnnxSub(operator.inputs[0], score.mean_, **version)
    coefficients = OnnxMatMul(centred, score.patterns_.T, **version)
    error = OnnxSub(centred, OnnxMatMul(coefficients, score.patterns_, **version), **version)
    mean = OnnxReduceMeanApi18(OnnxMul(error, error, **version), axes=np.array([1]), keepdims=1, **version)
    healthy = np.array([score.healthy_], dtype=np.float32)
    OnnxDiv(mean, healthy, **version, output_names=operator.outputs).add_to(scope, container)


def load_policy(path: Path) -> Policy:
    """A policy of `train_policy.py`, evaluated by ONNX's own reference implementation."""
    session = ReferenceEvaluator(onnx.load(path))
    return lambda observation: float(session.run(None, {"observation": np.array([observation], np.float32)})[0][0, 0])


def windows(policy: Policy, seed: int, push: Push | None = None) -> Array:
    """All windows of one run behind a Modbus link with jitter, from its own place in the reference's programme."""
    machine = Machine(seed=seed)
    for axis, start_s in zip(machine.axes.values(), np.random.default_rng(seed).uniform(0.0, 20.0, 2), strict=True):
        axis.programme_s = start_s
    if push:
        machine.axes["x"].push = push
    times, rows = [], []
    for snapshot in rehearse(machine, lambda _: policy, SETTLE_S + RUN_S, seed=seed):
        angles = [observation[OBSERVATION.index("angle")] for observation in snapshot.observations]
        times.append(snapshot.time_s)
        rows.append([value for pair in zip(angles, snapshot.forces, strict=True) for value in pair])
    ticks = np.arange(SETTLE_S, SETTLE_S + RUN_S, PERIOD_S)
    samples = np.array(rows, dtype=np.float32)[np.searchsorted(times, ticks, side="right") - 1]
    return np.lib.stride_tricks.sliding_window_view(samples, SAMPLES, axis=0).reshape(-1, len(SIGNALS) * SAMPLES)


def main() -> None:
    """Fit, try and write the detector."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1] / "station" / "demo" / "data")
    policies = {name: load_policy(folder / f"{name}.onnx") for name in ("policy-v1", "policy-v2")}
    healthy = np.concatenate([windows(policy, seed) for policy in policies.values() for seed in (1, 2, 3)])
    detector = Pipeline([("scale", StandardScaler()), ("score", ReconstructionScore(PATTERNS))]).fit(healthy)
    for name, policy in policies.items():
        quiet, pushed = (
            detector.transform(windows(policy, 10, push)) for push in (None, Push(5.0, from_s=15.0, until_s=15.2))
        )
        print(f"{name}: healthy at most {quiet.max():.2f}, pushed with 5 N for 0.2 s {pushed.max():.2f}")
    update_registered_converter(ReconstructionScore, "RtEngineReconstructionScore", score_shape, convert_score)
    model = to_onnx(
        detector,
        initial_types=[("window", FloatTensorType([None, len(SIGNALS) * SAMPLES]))],
        target_opset=18,
        black_op={"Scaler"},  # plain Sub and Div instead of the operator of domain ai.onnx.ml
        final_types=[("score", FloatTensorType([None, 1]))],
    )
    onnx.save(model, folder / "anomaly.onnx")


if __name__ == "__main__":
    main()
