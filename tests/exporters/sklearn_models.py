"""scikit-learn models whose exports are golden files; `SKLEARN_CASES` is the list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, Normalizer, RobustScaler, StandardScaler

FEATURES = 6
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class SklearnCase:
    """One estimator, and the task that it is fitted to: `regression`, `outputs`, `classes`, `binary` or `none`.

    `options` go to skl2onnx's `to_onnx`.
    """

    name: str
    estimator: Callable[[], BaseEstimator]
    task: str
    dtype: type[np.floating[Any]] = np.float32
    options: dict[str, Any] = field(default_factory=dict)


def data(task: str) -> tuple[Array, Array | None]:
    """200 samples of six features of different size and offset, and what is to be learnt from them."""
    rng = np.random.default_rng(7)
    inputs = rng.normal(size=(200, FEATURES)) * [1, 5, 0.2, 30, 1, 2] + [0, 3, -1, 100, 0, 0.5]
    whitened = (inputs - inputs.mean(0)) / inputs.std(0)
    signal = np.sin(whitened @ rng.normal(size=(FEATURES, 3))) + 0.3 * whitened[:, :3]
    targets: dict[str, Array | None] = {
        "regression": signal[:, 0],
        "outputs": signal,
        "classes": signal.argmax(axis=1) * 10,  # labels that are not 0, 1, 2
        "binary": (signal[:, 0] > 0).astype(np.int64),
        "none": None,
    }
    return inputs, targets[task]


def regressor(activation: str = "relu", layers: tuple[int, ...] = (12, 9)) -> MLPRegressor:
    return MLPRegressor(hidden_layer_sizes=layers, activation=activation, max_iter=60, random_state=3)


def classifier(activation: str = "relu") -> MLPClassifier:
    return MLPClassifier(hidden_layer_sizes=(12,), activation=activation, max_iter=60, random_state=3)


SKLEARN_CASES: tuple[SklearnCase, ...] = (
    *(
        SklearnCase(
            f"mlp_regressor_{name}", lambda name=name: make_pipeline(StandardScaler(), regressor(name)), "regression"
        )
        for name in ("relu", "tanh", "logistic", "identity")
    ),
    # no MLPRegressor with several outputs: the export reshapes them to one column, so it is not scikit-learn's output
    SklearnCase("mlp_regressor_bare", lambda: regressor("tanh", (10,)), "regression"),
    SklearnCase(
        "mlp_regressor_float64", lambda: make_pipeline(StandardScaler(), regressor()), "regression", np.float64
    ),
    *(
        SklearnCase(f"mlp_classifier_{task}", lambda: make_pipeline(StandardScaler(), classifier()), task)
        for task in ("classes", "binary")
    ),
    SklearnCase("mlp_classifier_tanh", lambda: make_pipeline(RobustScaler(), classifier("tanh")), "classes"),
    SklearnCase("mlp_classifier_float64", lambda: make_pipeline(StandardScaler(), classifier()), "classes", np.float64),
    SklearnCase("linear_regression", lambda: LinearRegression(), "regression"),
    SklearnCase("linear_regression_outputs", lambda: LinearRegression(), "outputs"),
    SklearnCase("linear_regression_float64", lambda: LinearRegression(), "outputs", np.float64),
    SklearnCase("standard_ridge", lambda: make_pipeline(StandardScaler(), Ridge(0.5)), "outputs"),
    SklearnCase("minmax_lasso", lambda: make_pipeline(MinMaxScaler(), Lasso(0.01)), "regression"),
    SklearnCase("minmax_clip_ridge", lambda: make_pipeline(MinMaxScaler((-1, 1), clip=True), Ridge()), "regression"),
    SklearnCase("maxabs_elastic", lambda: make_pipeline(MaxAbsScaler(), ElasticNet(0.01)), "regression"),
    SklearnCase("robust_linear", lambda: make_pipeline(RobustScaler(), LinearRegression()), "regression"),
    SklearnCase("robust_ridge_float64", lambda: make_pipeline(RobustScaler(), Ridge()), "regression", np.float64),
    SklearnCase("pca_ridge", lambda: make_pipeline(StandardScaler(), PCA(3), Ridge()), "regression"),
    SklearnCase("pca_whiten", lambda: make_pipeline(StandardScaler(), PCA(3, whiten=True)), "none"),
    SklearnCase("svd", lambda: make_pipeline(StandardScaler(), TruncatedSVD(3, random_state=1)), "none"),
    SklearnCase("pca_float64", lambda: make_pipeline(StandardScaler(), PCA(4)), "none", np.float64),
    SklearnCase("standard_scaler", lambda: StandardScaler(), "none"),
    SklearnCase("standard_scaler_plain", lambda: StandardScaler(), "none", options={"black_op": {"Scaler"}}),
    SklearnCase("minmax_scaler", lambda: MinMaxScaler(), "none"),
    SklearnCase("robust_scaler", lambda: RobustScaler(), "none"),
    *(
        SklearnCase(f"normalizer_{norm}", lambda norm=norm: make_pipeline(StandardScaler(), Normalizer(norm)), "none")
        for norm in ("l1", "l2")  # not "max": the export forgets the absolute value, so it is not scikit-learn's output
    ),
    SklearnCase("logistic_classes", lambda: make_pipeline(StandardScaler(), LogisticRegression()), "classes"),
    SklearnCase("logistic_binary", lambda: make_pipeline(StandardScaler(), LogisticRegression()), "binary"),
    SklearnCase("logistic_bare", lambda: LogisticRegression(max_iter=2000), "classes"),
    SklearnCase(
        "logistic_float64", lambda: make_pipeline(StandardScaler(), LogisticRegression()), "classes", np.float64
    ),
    SklearnCase(
        "sgd_log",
        lambda: make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss", random_state=1)),
        "classes",
    ),
)
