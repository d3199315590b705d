"""ResNet-50 (He et al., arXiv:1512.03385; stride in the 3x3 convolution), as vision pipelines export it."""

import torch
from torch import nn

from benchmarks.zoo import Export, model
from benchmarks.zoo._torch import TOOLS, export, seeded, with_statistics
from benchmarks.zoo.convolutional import convolution


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions and the input (through a 1x1 convolution where the shape changes)."""

    def __init__(self, k: int, width: int, stride: int) -> None:
        super().__init__()
        n = 4 * width
        narrow = convolution(k, width, 1), convolution(width, width, 3, stride)
        self.body = nn.Sequential(*narrow, nn.Conv2d(width, n, 1, bias=False), nn.BatchNorm2d(n))
        around = nn.Sequential(nn.Conv2d(k, n, 1, stride, bias=False), nn.BatchNorm2d(n))
        self.around = nn.Identity() if k == n and stride == 1 else around

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Residual block."""
        return torch.relu(self.body(x) + self.around(x))


@model("resnet-50", "ResNet-50 224x224", tolerance=1e-4, tools=TOOLS)
def resnet50() -> Export:
    """1,000 classes, 25.6 million parameters."""
    seeded()
    layers: list[nn.Module] = [convolution(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)]
    k = 64
    for width, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for i in range(count):
            layers.append(Bottleneck(k, width, stride if i == 0 else 1))
            k = 4 * width
    module = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(k, 1000))
    for norm in (m.body[-1] for m in module if isinstance(m, Bottleneck)):
        nn.init.constant_(norm.weight, 0.3)
    module = with_statistics(module)
    for norm in (m.body[-1] for m in module if isinstance(m, Bottleneck)):  # keeps the residual sum from growing
        nn.init.constant_(norm.weight, 0.3)
    return export(module, {"x": torch.randn(1, 3, 224, 224)})
