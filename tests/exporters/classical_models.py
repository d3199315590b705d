"""Trees, machines, neighbours and pipelines whose exports are golden files; `CLASSICAL_CASES` is the list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA, IncrementalPCA, KernelPCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.mixture import GaussianMixture
from sklearn.naive_bayes import BernoulliNB, GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, LocalOutlierFactor
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC, SVR, LinearSVC, LinearSVR, NuSVC, NuSVR, OneClassSVM
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor


@dataclass(frozen=True)
class ClassicalCase:
    """One estimator and its task: as in `sklearn_models`, or `names` (classes that are strings).

    Args:
        name: of the files, behind that of the framework.
        estimator: makes it.
        task: what it is fitted to.
        framework: `sklearn`, `lightgbm` or `xgboost`, which is also the exporter.
        dtype: of the input.
        trees: rows that stand on the thresholds of the trees are a batch of their own.
        missing: some inputs are NaN.
        zipmap: export the scores as a list of dictionaries, as exporters do unless told otherwise.
        options: of the exporter.
    """

    name: str
    estimator: Callable[[], BaseEstimator]
    task: str
    framework: str = "sklearn"
    dtype: type[np.floating[Any]] = np.float32
    trees: bool = False
    missing: bool = False
    zipmap: bool = False
    options: dict[str, Any] = field(default_factory=dict)


SEED: dict[str, Any] = {"random_state": 0}
SMALL: dict[str, Any] = {"n_estimators": 6, "max_depth": 4, **SEED}


def scaled(*steps: BaseEstimator) -> BaseEstimator:
    return make_pipeline(StandardScaler(), *steps)


def voters() -> list[tuple[str, BaseEstimator]]:
    return [("linear", scaled(LogisticRegression())), ("tree", DecisionTreeClassifier(max_depth=3, **SEED))]


def predictors() -> list[tuple[str, BaseEstimator]]:
    return [("linear", Ridge()), ("tree", DecisionTreeRegressor(max_depth=3, **SEED))]


def lightgbm(kind: str, **options: Any) -> BaseEstimator:
    import lightgbm as package

    return getattr(package, f"LGBM{kind}")(
        n_estimators=6, num_leaves=7, min_child_samples=5, n_jobs=1, verbose=-1, random_state=0, **options
    )


def xgboost(kind: str, **options: Any) -> BaseEstimator:
    import xgboost as package

    return getattr(package, f"XGB{kind}")(n_estimators=6, max_depth=3, n_jobs=1, random_state=0, **options)


def _forests() -> list[ClassicalCase]:
    """Trees of scikit-learn."""
    classifiers = {
        "tree": lambda: DecisionTreeClassifier(max_depth=5, **SEED),
        "forest": lambda: RandomForestClassifier(**SMALL),
        "extra_trees": lambda: ExtraTreesClassifier(**SMALL),
        "boosting": lambda: GradientBoostingClassifier(n_estimators=5, max_depth=3, **SEED),
    }
    regressors = {
        "tree_regressor": lambda: DecisionTreeRegressor(max_depth=5, **SEED),
        "forest_regressor": lambda: RandomForestRegressor(**SMALL),
        "extra_trees_regressor": lambda: ExtraTreesRegressor(**SMALL),
        "boosting_regressor": lambda: GradientBoostingRegressor(n_estimators=8, max_depth=3, **SEED),
    }
    hist = {"max_iter": 4, "max_leaf_nodes": 8, "min_samples_leaf": 5}
    return [
        *(ClassicalCase(f"{n}_{t}", e, t, trees=True) for n, e in classifiers.items() for t in ("classes", "binary")),
        *(ClassicalCase(n, e, "regression", trees=True) for n, e in regressors.items()),
        ClassicalCase("forest_outputs", lambda: RandomForestRegressor(**SMALL), "outputs", trees=True),
        ClassicalCase("forest_names", lambda: RandomForestClassifier(**SMALL), "names", trees=True),
        ClassicalCase("forest_zipmap", lambda: RandomForestClassifier(**SMALL), "classes", zipmap=True),
        ClassicalCase("forest_float64", lambda: RandomForestClassifier(**SMALL), "classes", dtype=np.float64),
        *(
            ClassicalCase(f"hist_{t}", lambda: HistGradientBoostingClassifier(**hist), t, missing=True)
            for t in ("classes", "binary")
        ),
        ClassicalCase("hist_regressor", lambda: HistGradientBoostingRegressor(**hist), "regression", missing=True),
        ClassicalCase("isolation_forest", lambda: IsolationForest(n_estimators=5, max_samples=32, **SEED), "none"),
        ClassicalCase(
            "adaboost",
            lambda: AdaBoostClassifier(DecisionTreeClassifier(max_depth=2), n_estimators=4, **SEED),
            "classes",
        ),
        ClassicalCase("bagging", lambda: BaggingRegressor(DecisionTreeRegressor(max_depth=3), 4, **SEED), "regression"),
    ]


def _boosted() -> list[ClassicalCase]:
    """Trees of LightGBM and XGBoost."""
    return [
        ClassicalCase(f"{kind.lower()}_{task}", lambda kind=kind, make=make: make(kind), task, name, trees=True)
        for name, make in (("lightgbm", lightgbm), ("xgboost", xgboost))
        for kind, task in (("Classifier", "classes"), ("Classifier", "binary"), ("Regressor", "regression"))
    ] + [
        ClassicalCase("missing", lambda: lightgbm("Regressor"), "regression", "lightgbm", missing=True),
        ClassicalCase("missing", lambda: xgboost("Regressor"), "regression", "xgboost", missing=True),
        ClassicalCase("zipmap", lambda: lightgbm("Classifier"), "binary", "lightgbm", zipmap=True),
    ]


def _machines() -> list[ClassicalCase]:
    """Support vector machines."""
    return [
        *(
            ClassicalCase(f"svc_{k}_{t}", lambda k=k: scaled(SVC(kernel=k, probability=True, **SEED)), t)
            for k in ("linear", "poly", "rbf", "sigmoid")
            for t in ("classes", "binary")
        ),
        ClassicalCase("svc_decisions", lambda: scaled(SVC()), "classes"),
        ClassicalCase("svc_names", lambda: scaled(SVC(probability=True, **SEED)), "names"),
        ClassicalCase("nusvc", lambda: scaled(NuSVC(nu=0.2, probability=True, **SEED)), "classes"),
        ClassicalCase("linear_svc", lambda: LinearSVC(**SEED), "classes", options={"raw_scores": True}),
        ClassicalCase("svr", lambda: scaled(SVR()), "regression"),
        ClassicalCase("nusvr", lambda: scaled(NuSVR(kernel="poly")), "regression"),
        ClassicalCase("linear_svr", lambda: scaled(LinearSVR(**SEED)), "regression"),
        ClassicalCase("one_class", lambda: scaled(OneClassSVM(nu=0.2)), "none"),
    ]


def _neighbours() -> list[ClassicalCase]:
    """Distances to what was learnt: by Scan, or by CDist of com.microsoft."""
    cdist = {"optim": "cdist"}
    return [
        ClassicalCase("knn", lambda: scaled(KNeighborsClassifier(3)), "classes"),
        ClassicalCase("knn_names", lambda: scaled(KNeighborsClassifier(3)), "names"),
        ClassicalCase("knn_float64", lambda: scaled(KNeighborsClassifier(3)), "binary", dtype=np.float64),
        ClassicalCase("knn_cdist", lambda: KNeighborsClassifier(3), "binary", options=cdist | {"zipmap": False}),
        ClassicalCase("knn_regressor", lambda: scaled(KNeighborsRegressor(4)), "regression"),
        ClassicalCase("knn_regressor_cdist", lambda: KNeighborsRegressor(3), "outputs", options=cdist),
        ClassicalCase("outlier_factor", lambda: scaled(LocalOutlierFactor(5, novelty=True)), "none"),
        ClassicalCase("kernel_pca", lambda: scaled(KernelPCA(2, kernel="rbf", **SEED)), "none"),
        ClassicalCase(
            "gaussian_process", lambda: scaled(GaussianProcessRegressor(RBF() + WhiteKernel())), "regression"
        ),
        ClassicalCase("adaboost_regressor", lambda: AdaBoostRegressor(n_estimators=4, **SEED), "regression"),
        ClassicalCase("quantiles", lambda: QuantileTransformer(n_quantiles=12), "none"),
    ]


def _others() -> list[ClassicalCase]:
    """Clusters, densities, discriminants, and estimators made of estimators."""
    classifiers = {
        "gaussian_nb": GaussianNB,
        "bernoulli_nb": lambda: scaled(BernoulliNB()),
        "multinomial_nb": lambda: make_pipeline(MinMaxScaler(), MultinomialNB()),
        "lda": LinearDiscriminantAnalysis,
        "qda": QuadraticDiscriminantAnalysis,
        "voting": lambda: VotingClassifier(voters(), voting="soft", flatten_transform=False),
        "stacking": lambda: StackingClassifier(voters(), LogisticRegression(), cv=3),
        "calibrated": lambda: CalibratedClassifierCV(DecisionTreeClassifier(max_depth=3, **SEED), cv=2),
        "polynomial": lambda: scaled(PolynomialFeatures(2), LogisticRegression(max_iter=1000)),
        "bins": lambda: make_pipeline(KBinsDiscretizer(4, encode="onehot-dense"), LogisticRegression()),
        "union": lambda: make_pipeline(
            FeatureUnion([("a", PCA(2)), ("b", MaxAbsScaler())]), scaled(LogisticRegression())
        ),
        "columns": lambda: make_pipeline(
            ColumnTransformer(
                [("a", StandardScaler(), [0, 1, 4]), ("b", RobustScaler(), [3, 2])], remainder="passthrough"
            ),
            LogisticRegression(max_iter=1000),
        ),
    }
    transforms = {
        "incremental_pca": lambda: IncrementalPCA(3),
        "imputer": SimpleImputer,
        "binarizer": lambda: Binarizer(threshold=0.5),
        "bins_ordinal": lambda: KBinsDiscretizer(4, encode="ordinal"),
        "polynomial_features": lambda: scaled(PolynomialFeatures(3)),
    }
    return [
        *(ClassicalCase(name, make, "classes") for name, make in classifiers.items()),
        *(ClassicalCase(name, make, "none", missing=name == "imputer") for name, make in transforms.items()),
        ClassicalCase("gaussian_nb_names", GaussianNB, "names"),
        ClassicalCase("voting_regressor", lambda: VotingRegressor(predictors()), "regression"),
        ClassicalCase("stacking_regressor", lambda: StackingRegressor(predictors(), Ridge(), cv=3), "regression"),
        ClassicalCase("kmeans", lambda: scaled(PCA(3), KMeans(4, n_init=1, **SEED)), "none"),
        ClassicalCase("kmeans_float64", lambda: scaled(KMeans(4, n_init=1, **SEED)), "none", dtype=np.float64),
        ClassicalCase("mini_batch_kmeans", lambda: scaled(MiniBatchKMeans(4, n_init=1, **SEED)), "none"),
        ClassicalCase("mixture", lambda: scaled(GaussianMixture(3, **SEED)), "none"),
        ClassicalCase("mixture_diagonal", lambda: scaled(GaussianMixture(3, covariance_type="diag", **SEED)), "none"),
        ClassicalCase("ordinal", OrdinalEncoder, "integers"),
        ClassicalCase("one_hot", lambda: OneHotEncoder(handle_unknown="ignore", sparse_output=False), "integers"),
    ]


CLASSICAL_CASES = (*_forests(), *_boosted(), *_machines(), *_neighbours(), *_others())
