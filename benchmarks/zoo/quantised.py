"""int8 versions, in QDQ form: per channel, symmetric weights, activations calibrated on random inputs.

What is expected of them is what ONNX Runtime computes without any optimisation: each Q and DQ as it stands in the file. An
integer kernel may differ by a few quantisation steps, where a value lies on the border of two.
"""

import tempfile
from pathlib import Path

import onnx

from benchmarks.zoo import Export, entry, model
from rt_engine.measure.examples import quantised, unoptimised_outputs

TOOLS = ("onnxruntime", "torch", "onnxscript")


def _quantised(name: str) -> Export:
    made = entry(name).get()
    with tempfile.TemporaryDirectory() as folder:
        path = quantised(made.path, made.inputs, Path(folder))
        outputs = unoptimised_outputs(path, made.inputs)
        assert outputs is not None
        return onnx.load(path), made.inputs, dict(outputs)


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
