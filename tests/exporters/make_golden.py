"""Write the golden files: models exported by PyTorch and scikit-learn, with the frameworks' own outputs.

    python -m tests.exporters.make_golden [PREFIX]     (needs the dependency group `exporters`, and onnxruntime)

For each case `golden/NAME.onnx`, and `golden/NAME.npz` with arrays `in{batch}:{input}` and `out{batch}:{output}` for
batches 1 and 7 (or the one that the model is made for). An independent runtime is asked first whether the export is
right; what is stored is what the framework computed. With a PREFIX, only cases that begin with it are renewed.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from onnx.reference import ReferenceEvaluator
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
from sklearn.base import BaseEstimator, is_classifier

from tests.exporters.sklearn_models import FEATURES, SKLEARN_CASES, SklearnCase, data
from tests.exporters.torch_models import TORCH_CASES, Apply, Exporter, TorchCase

GOLDEN = Path(__file__).with_name("golden")
BATCHES = (1, 7)
Arrays = dict[str, npt.NDArray[Any]]


def export_torch(case: TorchCase, exporter: Exporter, module: torch.nn.Module, path: Path) -> onnx.ModelProto:
    """The model as the exporter writes it, without its notes on source files."""
    example = tuple(torch.zeros((case.static or 2, *shape), dtype=case.dtype) for shape in case.shapes)
    names = [f"x{place}" for place in range(len(example))]
    common: dict[str, Any] = {"input_names": names, "opset_version": case.opsets[exporter], "verbose": False}
    if exporter == "dynamo":
        batch = torch.export.Dim("batch")
        free = None if case.static else tuple({0: batch} for _ in example)
        if isinstance(module, Apply):
            free = None if case.static else (free,)  # a module of *inputs has one argument, a tuple
        model = torch.onnx.export(module, example, dynamo=True, dynamic_shapes=free, **common).model_proto
    else:
        axes = None if case.static else {name: {0: "batch"} for name in names}
        torch.onnx.export(module, example, path, dynamo=False, dynamic_axes=axes, **common)
        model = onnx.load(path)
    model.ClearField("metadata_props")
    model.ClearField("doc_string")
    without_notes(model.graph)
    return model


def without_notes(graph: onnx.GraphProto) -> None:
    """Take the notes off a graph and its sub-graphs."""
    for part in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for attribute in (a for node in graph.node for a in node.attribute if a.HasField("g")):
        without_notes(attribute.g)


def run_torch(case: TorchCase, module: torch.nn.Module, batch: int) -> tuple[list[Any], list[Any]]:
    """Random inputs, and the module's own outputs."""
    generator = torch.Generator().manual_seed(batch)
    inputs = [
        torch.empty((batch, *shape), dtype=case.dtype).uniform_(case.low, case.high, generator=generator)
        for shape in case.shapes
    ]
    with torch.no_grad():
        outputs = module(*inputs)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return [value.numpy() for value in inputs], [value.numpy() for value in outputs]


def make_torch(case: TorchCase, exporter: Exporter) -> None:
    """Both files of one case and exporter."""
    name = f"torch_{case.name}_{exporter}"
    torch.manual_seed(11)
    module = case.module().to(case.dtype).eval()
    model = export_torch(case, exporter, module, GOLDEN / f"{name}.onnx")
    arrays: Arrays = {}
    for batch in (case.static,) if case.static else BATCHES:
        inputs, outputs = run_torch(case, module, batch)
        store(arrays, model, batch, inputs, outputs)
    save(name, model, arrays)


def make_sklearn(case: SklearnCase) -> None:
    """Both files of one case."""
    inputs, targets = data(case.task)
    inputs = inputs.astype(case.dtype)
    estimator = case.estimator()
    estimator.fit(inputs, targets) if targets is not None else estimator.fit(inputs)
    kind = FloatTensorType if case.dtype is np.float32 else DoubleTensorType
    model = to_onnx(
        estimator,
        initial_types=[("x0", kind([None, FEATURES]))],
        options={id(estimator): {"zipmap": False}} if is_classifier(estimator) else None,
        target_opset=18,
        **case.options,
    )
    arrays: Arrays = {}
    for batch in BATCHES:
        chosen = inputs[20 : 20 + batch]
        store(arrays, model, batch, [chosen], run_sklearn(estimator, chosen))
    save(f"sklearn_{case.name}", model, arrays)


def run_sklearn(estimator: BaseEstimator, inputs: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    """The estimator's own outputs, in the order of the export: label and probabilities, value, or transformed."""
    if is_classifier(estimator):
        return [estimator.predict(inputs), estimator.predict_proba(inputs)]
    if hasattr(estimator, "predict"):
        return [estimator.predict(inputs).reshape(len(inputs), -1)]
    return [estimator.transform(inputs)]


def store(arrays: Arrays, model: onnx.ModelProto, batch: int, inputs: list[Any], outputs: list[Any]) -> None:
    """Put one batch among the arrays of a case, after an independent runtime has agreed with it."""
    feeds = {item.name: value for item, value in zip(model.graph.input, inputs, strict=True)}
    for item, expected, judged in zip(model.graph.output, outputs, judge(model, feeds), strict=True):
        stored = expected.astype(judged.dtype)  # scikit-learn computes some outputs in double precision
        assert judged.shape == stored.shape, f"{item.name}: {judged.shape}, expected {stored.shape}"
        scale = max(np.abs(stored.astype(np.float64)).max(), 1e-30)
        worst = np.abs(judged.astype(np.float64) - stored.astype(np.float64)).max() / scale
        assert worst < 1e-5, f"{item.name}: the export differs from the framework by {worst:.2g}"
        arrays[f"out{batch}:{item.name}"] = stored
    arrays.update({f"in{batch}:{name}": value for name, value in feeds.items()})


def judge(model: onnx.ModelProto, feeds: Arrays) -> list[npt.NDArray[Any]]:
    """What ONNX Runtime computes, or ONNX's reference implementation where it has no kernel (Erf of float64)."""
    try:
        return onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented:
        return ReferenceEvaluator(model).run(None, feeds)


def save(name: str, model: onnx.ModelProto, arrays: Arrays) -> None:
    """Write both files."""
    onnx.save(model, GOLDEN / f"{name}.onnx")
    np.savez_compressed(GOLDEN / f"{name}.npz", **arrays)


def operators() -> Counter[tuple[str, str, int]]:
    """(domain, operator, opset) of all golden files, with the number of files."""
    found: Counter[tuple[str, str, int]] = Counter()
    for path in sorted(GOLDEN.glob("*.onnx")):
        model = onnx.load(path)
        opsets = {item.domain: item.version for item in model.opset_import}
        found.update({(node.domain, node.op_type, opsets[node.domain]) for node in model.graph.node})
    return found


def main() -> None:
    """Renew the files and list the operators that they contain."""
    prefix = sys.argv[1] if len(sys.argv) > 1 else ""
    GOLDEN.mkdir(exist_ok=True)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for case in TORCH_CASES:
        for exporter in case.opsets:
            if f"torch_{case.name}_{exporter}".startswith(prefix):
                make_torch(case, exporter)
    for case in SKLEARN_CASES:
        if f"sklearn_{case.name}".startswith(prefix):
            make_sklearn(case)
    for (domain, operator, opset), files in sorted(operators().items()):
        print(f"{domain or 'ai.onnx'} {operator} {opset}: {files} files")


if __name__ == "__main__":
    main()
