"""What PyTorch and scikit-learn trained -> an ONNX model, by the framework's own exporter, which must be installed."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

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
        why = str(error).strip().split("\n", 1)[0] or type(error).__name__
        raise ModelFileError(f"the exporter of {module.partition('.')[0]} cannot export this {name}: {why}") from error


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
        program = torch.onnx.export(module, tuple(map(tensor, given)), kwargs=named, dynamo=True, verbose=False)
        return program.model_proto
    finally:
        for part in training:
            part.training = True


def _from_sklearn(estimator: Any, example: Any) -> Any:
    return import_module("skl2onnx").to_onnx(estimator, example[:1])


_FRAMEWORKS: tuple[tuple[tuple[str, str], Callable[[Any, Any], Any], str], ...] = (
    (("torch.nn.modules.module", "Module"), _from_torch, "torch onnxscript"),
    (("sklearn.base", "BaseEstimator"), _from_sklearn, "scikit-learn skl2onnx"),
)
"""The class (module, name) that all models of a framework come from, its exporter, and the packages that this needs."""
