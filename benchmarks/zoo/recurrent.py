"""Recurrent networks: one step with the state carried from cycle to cycle, and whole windows."""

import torch
from torch import nn

from benchmarks.zoo import Export, model
from benchmarks.zoo._torch import TOOLS, export, seeded


class _Step(nn.Module):
    """One step of an LSTM: the state comes in and goes out."""

    def __init__(self, k: int, width: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(k, width, batch_first=True)

    def forward(
        self, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        y, (h, c) = self.lstm(x, (h, c))
        return y, h, c


class _Window(nn.Module):
    """The last step's output of a recurrent network over a window."""

    def __init__(self, network: nn.Module, width: int) -> None:
        super().__init__()
        self.network, self.head = network, nn.Linear(width, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.network(x)[0][:, -1])


@model("lstm-step", "LSTM step, 8 -> 64, state carried", state=(("h1", "h"), ("c1", "c")), tools=TOOLS)
def lstm_step() -> Export:
    """What a cyclic task runs: one sample, one step."""
    seeded()
    inputs = {"x": torch.randn(1, 1, 8), "h": torch.randn(1, 1, 64) * 0.1, "c": torch.randn(1, 1, 64) * 0.1}
    return export(_Step(8, 64), inputs, ("y", "h1", "c1"))


@model("lstm-2x64", "LSTM 2x64, 50 steps", tools=TOOLS)
def lstm_window() -> Export:
    """Two layers over 50 samples of 8 values."""
    seeded()
    return export(_Window(nn.LSTM(8, 64, num_layers=2, batch_first=True), 64), {"x": torch.randn(1, 50, 8)})


@model("gru-bidirectional", "GRU bidirectional 64, 50 steps", tools=TOOLS)
def gru_window() -> Export:
    """Both directions over 50 samples of 8 values."""
    seeded()
    network = nn.GRU(8, 64, bidirectional=True, batch_first=True)
    return export(_Window(network, 128), {"x": torch.randn(1, 50, 8)})
