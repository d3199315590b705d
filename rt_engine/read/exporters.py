"""What PyTorch and scikit-learn trained -> an ONNX model, by the framework's own exporter, which must be installed."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from threading import Lock
from typing import Any

import numpy as np

from rt_engine.errors import ModelFileError
from rt_engine.read.source import Source, names_of


def exported(model: Any, example: Any) -> Source:
    """The model as its exporter writes it.

    Args:
        model: a PyTorch module, which is exported in evaluation mode, or a fitted estimator or pipeline of scikit-learn.
        example: what it is called with. For PyTorch: a tensor or array, a tuple of several, or a dictionary by parameter name; the
            inputs get their shapes and types. For scikit-learn: rows of data, whose type the input gets; it takes one at a time.

    Raises:
        ModelFileError: it is neither; the exporter is not installed, or refuses.
    """
    name, kinds = type(model).__name__, names_of(model)
    found = next((framework for framework in _FRAMEWORKS if framework[0] in kinds), None)
    if found is None:
        raise ModelFileError(f"an example exports a PyTorch module or a scikit-learn estimator, which a {name} is not")
    (module, _), export, packages = found
    try:
        return Source(export(model, example), name)
    except ImportError as error:
        help = f"pip install {packages}"
        raise ModelFileError(f"a {name} is exported to ONNX first, which needs {error.name}: {help}") from error
    except Exception as error:  # exporters have no family of errors
        raise ModelFileError(
            f"the exporter of {module.partition('.')[0]} cannot export this {name}: {_why(error)}"
        ) from error


def _why(error: BaseException) -> str:
    """The first line of what it began with: exporters wrap it in advice to who works on them."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).strip().split("\n", 1)[0] or type(error).__name__


def _from_torch(module: Any, example: Any) -> Any:
    torch = import_module("torch")
    import_module("onnxscript")

    def tensor(value: Any) -> Any:
        return value if isinstance(value, torch.Tensor) else torch.as_tensor(value)

    named = {name: tensor(value) for name, value in example.items()} if isinstance(example, Mapping) else {}
    given = example if isinstance(example, tuple) else () if named else (example,)
    training = [part for part in module.modules() if part.training]
    try:
        module.eval()
        args = tuple(map(tensor, given))
        with torch.no_grad():
            module(*args, **named)  # what does not fit is told in PyTorch's own words, before the exporter's many
        program = torch.onnx.export(module, args, kwargs=named, dynamo=True, verbose=False)
        return program.model_proto
    finally:
        for part in training:
            part.training = True


def _from_sklearn(estimator: Any, example: Any) -> Any:
    skl2onnx = import_module("skl2onnx")
    rows = example if hasattr(example, "shape") else np.asarray(example)
    columns = getattr(estimator, "n_features_in_", None)
    if columns is not None and rows.shape[1:] != (columns,):
        raise ValueError(f"it was fitted to rows of {columns} numbers; the shape of the example is {list(rows.shape)}")
    opsets = {
        "": skl2onnx.get_latest_tested_opset_version(),
        "ai.onnx.ml": 3,
    }  # IsolationForest refuses its own default
    with _plain_numbers():
        return skl2onnx.to_onnx(estimator, rows[:1], target_opset=opsets)


@contextmanager
def _plain_numbers() -> Iterator[None]:
    """While it lasts, onnx takes lists of NumPy's numbers, which skl2onnx 1.20 gives for HistGradientBoosting; 1.23 refuses them."""
    helper = import_module("onnx.helper")
    with _PATCHING:
        make_attribute = helper.make_attribute

        def patient(key: str, value: Any, *rest: Any, **named: Any) -> Any:
            if isinstance(value, list):
                value = [v.item() if isinstance(v, np.generic) else v for v in value]
                value = [int(v) if isinstance(v, bool) else v for v in value]
            return make_attribute(key, value, *rest, **named)

        helper.make_attribute = patient  # type: ignore[attr-defined]  # a module's own function
        try:
            yield
        finally:
            helper.make_attribute = make_attribute  # type: ignore[attr-defined]


_PATCHING = Lock()
"""Two threads that export would each put back what the other put there."""


_FRAMEWORKS: tuple[tuple[tuple[str, str], Callable[[Any, Any], Any], str], ...] = (
    (("torch.nn.modules.module", "Module"), _from_torch, "torch onnxscript"),
    (("sklearn.base", "BaseEstimator"), _from_sklearn, "scikit-learn skl2onnx"),
)
"""The class (module, name) that all models of a framework come from, its exporter, and the packages that this needs."""
