"""int8 versions, in QDQ form: per channel, symmetric weights, activations calibrated on random inputs.

What is expected of them is what ONNX Runtime computes without any optimisation: each Q and DQ as it stands in the file. An
integer kernel may differ by a few quantisation steps, where a value lies on the border of two.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx

from benchmarks.zoo import Arrays, Export, entry, model

TOOLS = ("onnxruntime", "torch", "onnxscript")


class _Calibration:
    """Sixteen random inputs like the example."""

    def __init__(self, example: Arrays) -> None:
        rng = np.random.default_rng(1)
        self.feeds: Iterator[Arrays] = iter(
            [{k: rng.standard_normal(v.shape).astype(v.dtype) for k, v in example.items()} for _ in range(16)]
            + [example]
        )

    def get_next(self) -> Arrays | None:
        """The next input, or None at the end."""
        return next(self.feeds, None)


def _quantised(name: str) -> Export:
    import onnxruntime as ort
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    made = entry(name).get()
    with tempfile.TemporaryDirectory() as folder:
        ready, result = Path(folder) / "ready.onnx", Path(folder) / "int8.onnx"
        quant_pre_process(made.path, ready)
        quantize_static(
            ready,
            result,
            _Calibration(made.inputs),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
        )
        proto = onnx.load(result)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    return proto, made.inputs, dict(zip(names, session.run(names, made.inputs), strict=True))


@model("autoencoder-int8", "autoencoder int8 (QDQ, per channel)", tolerance=0.05, tools=TOOLS)
def autoencoder() -> Export:
    """See `mlp.autoencoder`."""
    return _quantised("autoencoder")


@model("ds-cnn-int8", "DS-CNN int8", tolerance=0.05, tools=TOOLS)
def ds_cnn() -> Export:
    """See `convolutional.ds_cnn`."""
    return _quantised("ds-cnn")


@model("resnet-8-int8", "ResNet-8 int8", tolerance=0.05, tools=TOOLS)
def resnet8() -> Export:
    """See `convolutional.resnet8`."""
    return _quantised("resnet-8")


@model("mobilenet-int8", "MobileNetV1 int8", tolerance=0.05, tools=TOOLS)
def mobilenet() -> Export:
    """See `convolutional.mobilenet`."""
    return _quantised("mobilenet")
