"""Small convolutional networks: vibration, keyword spotting, image and sound classification.

The three of MLPerf Tiny are those of https://github.com/mlcommons/tiny (benchmark/training), in PyTorch.
"""

import torch
from torch import nn

from benchmarks.zoo import Export, model
from benchmarks.zoo._torch import TOOLS, export, seeded, with_statistics


def convolution(
    k: int,
    n: int,
    size: int | tuple[int, int],
    stride: int = 1,
    groups: int = 1,
    padding: int | tuple[int, int] | None = None,
) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    padding = (size // 2 if isinstance(size, int) else 0) if padding is None else padding
    return nn.Sequential(
        nn.Conv2d(k, n, size, stride, padding, groups=groups, bias=False), nn.BatchNorm2d(n), nn.ReLU()
    )


def separable(k: int, n: int, stride: int = 1) -> nn.Sequential:
    """A depthwise 3x3 convolution and a pointwise one, each with batch norm and ReLU."""
    return nn.Sequential(convolution(k, k, 3, stride, groups=k), convolution(k, n, 1))


def classifier(channels: int, classes: int) -> nn.Sequential:
    """Mean over the picture, dense layer, softmax."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes), nn.Softmax(1))


@model("vibration-cnn", "1-D CNN, 3x256 vibration", tools=TOOLS)
def vibration() -> Export:
    """Three axes of an accelerometer, 256 samples; three convolutions with pools, two dense layers, five states."""
    seeded()
    layers: list[nn.Module] = []
    for k, n, size in ((3, 16, 7), (16, 32, 5), (32, 64, 3)):
        layers += [nn.Conv1d(k, n, size, padding=size // 2), nn.ReLU(), nn.MaxPool1d(2)]
    module = nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 32, 32), nn.ReLU(), nn.Linear(32, 5), nn.Softmax(1))
    return export(module, {"x": torch.randn(1, 3, 256)})


@model("ds-cnn", "DS-CNN keyword spotting (MLPerf Tiny)", tools=TOOLS)
def ds_cnn() -> Export:
    """49 frames of 10 MFCC in, 10x4 convolution with stride 2, four separable blocks of 64 channels, 12 words."""
    seeded()
    blocks = [separable(64, 64) for _ in range(4)]
    module = nn.Sequential(convolution(1, 64, (10, 4), 2, padding=(5, 1)), *blocks, classifier(64, 12))
    return export(with_statistics(module), {"x": torch.randn(1, 1, 49, 10)})


class _Residual(nn.Module):
    """ResNet-8's stack: two 3x3 convolutions, and the input (through a 1x1 convolution where the shape changes)."""

    def __init__(self, k: int, n: int, stride: int) -> None:
        super().__init__()
        self.first = convolution(k, n, 3, stride)
        self.second = nn.Sequential(nn.Conv2d(n, n, 3, padding=1, bias=False), nn.BatchNorm2d(n))
        self.around = nn.Identity() if stride == 1 else nn.Conv2d(k, n, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.second(self.first(x)) + self.around(x))


@model("resnet-8", "ResNet-8 CIFAR (MLPerf Tiny)", tools=TOOLS)
def resnet8() -> Export:
    """32x32 pictures, three stacks of 16, 32 and 64 channels, 10 classes."""
    seeded()
    stacks = (_Residual(16, 16, 1), _Residual(16, 32, 2), _Residual(32, 64, 2))
    module = nn.Sequential(convolution(3, 16, 3), *stacks, classifier(64, 10))
    return export(with_statistics(module), {"x": torch.randn(1, 3, 32, 32)})


MOBILENET = ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2), (256, 1))
"""(channels, stride) of the separable blocks at width 0.25."""


@model("mobilenet", "MobileNetV1 0.25 96x96 (MLPerf Tiny)", tools=TOOLS)
def mobilenet() -> Export:
    """Visual wake words: is there a person in the picture?"""
    seeded()
    layers, k = [convolution(3, 8, 3, 2)], 8
    for n, stride in MOBILENET:
        layers.append(separable(k, n, stride))
        k = n
    return export(with_statistics(nn.Sequential(*layers, classifier(k, 2))), {"x": torch.randn(1, 3, 96, 96)})


@model("esc-50", "ESC-50 CNN (128x16 mel patch)", tools=TOOLS)
def esc50() -> Export:
    """Environmental sound: 128 mel bands by 16 frames, four convolutions of 16 to 128 channels with pools, 50 classes."""
    seeded()
    layers, k = [], 1
    for n in (16, 32, 64, 128):
        layers += [convolution(k, n, 3), nn.MaxPool2d(2)]
        k = n
    return export(with_statistics(nn.Sequential(*layers, classifier(k, 50))), {"x": torch.randn(1, 1, 128, 16)})
