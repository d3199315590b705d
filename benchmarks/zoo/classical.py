"""Classical models of scikit-learn that are not trees."""

import warnings

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from benchmarks.zoo import Export, model
from benchmarks.zoo.trees import SKLEARN, export_sklearn, samples


@model("rbf-svm", "RBF SVM with probabilities", tolerance=1e-4, tools=SKLEARN)
def rbf_svm() -> Export:
    """Two classes on 16 features; some hundred support vectors."""
    x, y = samples(2)
    x, y = x[:600], y[:600]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn means to calibrate elsewhere one day
        svm = SVC(kernel="rbf", probability=True, random_state=0).fit(x, y)
        return export_sklearn(svm, x, [svm.predict(x[:1]), svm.predict_proba(x[:1]).astype(np.float32)])


@model("pca-kmeans", "scaler + PCA(16) + k-means(10)", tolerance=1e-4, tools=SKLEARN)
def pca_kmeans() -> Export:
    """64 features to 16 components to the nearest of 10 centres; also the distances to all."""
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((2000, 64)) @ rng.standard_normal((64, 64))).astype(np.float32)
    pipeline = make_pipeline(StandardScaler(), PCA(16, random_state=0), KMeans(10, n_init=3, random_state=0)).fit(x)
    return export_sklearn(pipeline, x, [pipeline.predict(x[:1]), pipeline.transform(x[:1]).astype(np.float32)])
