"""What the families made with PyTorch share: random batch-norm statistics, and the export."""

import contextlib
import io
import logging
import warnings

import numpy as np
import onnx
import torch
from torch import nn

from benchmarks.zoo import Export

OPSET = 18
TOOLS = ("torch", "onnxscript", "onnx")


def export(
    module: nn.Module, inputs: dict[str, torch.Tensor], outputs: tuple[str, ...] = ("y",), dynamo: bool = True
) -> Export:
    """The module in ONNX with static shapes, its inputs, and its own outputs."""
    module = module.eval()
    example = tuple(inputs.values())
    with torch.no_grad():
        results = module(*example)
    results = results if isinstance(results, tuple) else (results,)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    common = {"input_names": list(inputs), "output_names": list(outputs), "opset_version": OPSET}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
        warnings.simplefilter("ignore")
        if dynamo:
            program = torch.onnx.export(module, example, dynamo=True, verbose=False, **common)
            proto = program.model_proto
        else:
            file = io.BytesIO()
            torch.onnx.export(module, example, file, dynamo=False, **common)
            proto = onnx.load_from_string(file.getvalue())
    return (
        proto,
        {name: value.numpy() for name, value in inputs.items()},
        {name: value.numpy() for name, value in zip(outputs, results, strict=True)},
    )


def seeded(seed: int = 0) -> None:
    """The same weights and inputs at every export."""
    torch.manual_seed(seed)
    np.random.seed(seed)


def with_statistics(module: nn.Module) -> nn.Module:
    """Batch norms as after a training: no mean is 0 and no variance 1."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(norm.running_mean, 0.0, 0.1)
            nn.init.uniform_(norm.running_var, 0.5, 1.5)
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, 0.0, 0.1)
    return module
