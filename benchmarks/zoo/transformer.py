"""A small transformer encoder over a window of sensor values."""

import torch
from torch import nn

from benchmarks.zoo import Export, model
from benchmarks.zoo._torch import TOOLS, export, seeded


@model("transformer", "transformer, 2 layers, d=64, 4 heads, ff 128, 32 steps", tools=TOOLS)
def encoder() -> Export:
    """`nn.TransformerEncoder`, 32 steps of 64 features."""
    seeded()
    layer = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True, norm_first=False)
    module = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    return export(module, {"x": torch.randn(1, 32, 64)})
