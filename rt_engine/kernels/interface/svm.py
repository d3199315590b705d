"""Records of `kernels.svm`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

SVM = Fields(
    "svm",
    operands="x vectors coefficients rho out work",
    sizes="rows features count decisions function",
    params="gamma coef0 degree",
    writes="out work",
)
"""`count` support vectors; `out` is [rows, decisions]."""

SVM_CLASSES = Fields(
    "svm_classes",
    operands="decisions classes platt label probabilities? work",
    sizes="rows count probable",
    writes="label probabilities work",
)
"""`count` is that of the classes."""
