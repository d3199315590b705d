"""A speech denoiser for microcontrollers: CR-CED (Park and Lee, arXiv:1609.07132), 33,125 parameters.

    8 frames x 129 bins -> minus a mean of 129 x 8 -> 9x8 convolution (the frames become one) -> 16 layers in all ->
    129x1 convolution -> one frame of 129 bins

    mean                                                            129 * 8           =  1,032
    5 x (9 wide to 18 channels, 5 wide to 30, 9 wide to 8)          5 * (6,156 + 56)  = 31,060
    129 wide to 1 channel                                           129 * 8 + 1       =  1,033
                                                                                        33,125

Batch norms are folded, as they are in what is deployed. The first convolution reads 9x8x1 = 72 values for each output, as
many as the 9x1x8 of the later blocks.
"""

import torch
from torch import nn

from benchmarks.zoo import Export, model
from benchmarks.zoo._torch import TOOLS, export, seeded

BINS, FRAMES = 129, 8
BLOCK = ((18, 9), (30, 5), (8, 9))
"""(channels, width) of the three convolutions of a block."""
PARAMETERS = 33_125


class Denoiser(nn.Module):
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.randn(1, 1, BINS, FRAMES) * 0.1)
        layers: list[nn.Module] = []
        k, frames = 1, FRAMES
        for _ in range(5):
            for n, width in BLOCK:
                layers += [nn.Conv2d(k, n, (width, frames), padding=(width // 2, 0)), nn.ReLU()]
                k, frames = n, 1
        self.layers = nn.Sequential(*layers, nn.Conv2d(k, 1, (BINS, 1), padding=(BINS // 2, 0)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[1, 1, 129, 8] -> [1, 1, 129, 1]."""
        y: torch.Tensor = self.layers(x - self.mean)
        return y


@model("speech-denoiser", "speech denoiser 129x8 (33,125 parameters)", tools=TOOLS)
def denoiser() -> Export:
    """One frame of a spectrum, cleaned with the help of the seven before it."""
    seeded()
    module = Denoiser()
    assert sum(p.numel() for p in module.parameters()) == PARAMETERS
    return export(module, {"x": torch.randn(1, 1, BINS, FRAMES)})
