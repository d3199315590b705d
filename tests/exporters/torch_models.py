"""PyTorch modules whose exports are golden files; `TORCH_CASES` is the list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

Exporter = Literal["dynamo", "script"]


@dataclass(frozen=True)
class TorchCase:
    """One module, the shapes of its inputs without the batch, and how it is exported.

    `opsets` maps the exporter to the opset. A `static` case is exported for its one batch size, else the batch is free.
    `low` and `high` bound the random inputs.
    """

    name: str
    module: Callable[[], nn.Module]
    shapes: tuple[tuple[int, ...], ...]
    opsets: dict[Exporter, int]
    static: int | None = None
    dtype: torch.dtype = torch.float32
    low: float = -3.0
    high: float = 3.0


class Apply(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Tensor | tuple[Tensor, ...]]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        return self.function(*inputs)


class TwoInputs(nn.Module):
    """Two inputs meet in a concatenation; two outputs of different width leave."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.join = nn.Linear(6, 9), nn.Linear(3, 5), nn.Linear(14, 4)

    def forward(self, state: Tensor, goal: Tensor) -> tuple[Tensor, Tensor]:
        joined = torch.cat((torch.relu(self.left(state)), torch.tanh(self.right(goal))), dim=1)
        return self.join(joined), joined.mean(dim=1, keepdim=True)


class Residual(nn.Module):
    """Two blocks with skip connections and LayerNorm, as in a small transformer's feed-forward part."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(24), nn.LayerNorm(24)])
        self.up = nn.ModuleList([nn.Linear(24, 40), nn.Linear(24, 40)])
        self.down = nn.ModuleList([nn.Linear(40, 24), nn.Linear(40, 24)])

    def forward(self, x: Tensor) -> Tensor:
        for norm, up, down in zip(self.norms, self.up, self.down, strict=True):
            x = x + down(nn.functional.gelu(up(norm(x))))
        return x


class Attention(nn.Module):
    """Self-attention spelled out: MatMul of two computed tensors, Transpose, Softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        scores = torch.matmul(self.query(x), self.key(x).transpose(1, 2)) / 8**0.5
        return torch.matmul(torch.softmax(scores, dim=-1), self.value(x))


class Rotary(nn.Module):
    """Causal attention of heads that share keys and values, with rotated queries and keys, after an RMSNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(24)
        self.query, self.pair = nn.Linear(24, 24), nn.Linear(24, 24)
        angle = torch.outer(torch.arange(5.0), 10000.0 ** (-torch.arange(0.0, 6.0, 2.0) / 6))
        self.register_buffer("cos", torch.cat((angle, angle), dim=-1).cos())
        self.register_buffer("sin", torch.cat((angle, angle), dim=-1).sin())

    def rotate(self, x: Tensor) -> Tensor:
        low, high = x.chunk(2, dim=-1)
        return x * self.cos + torch.cat((-high, low), dim=-1) * self.sin

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        q = self.query(x).unflatten(-1, (4, 6)).transpose(1, 2)
        k, v = self.pair(x).unflatten(-1, (4, 6)).transpose(1, 2).split(2, dim=1)
        k, v = (t.repeat_interleave(2, dim=1) for t in (self.rotate(k), v))
        y = nn.functional.scaled_dot_product_attention(self.rotate(q), k, v, is_causal=True)
        return y.transpose(1, 2).flatten(2)


class MultiHead(nn.Module):
    """nn.MultiheadAttention of two sequences, with the weights that it gives."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(12, 3, batch_first=True)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.attention(x, y, y))


def encoder(norm_first: bool, heads: int = 2) -> nn.Module:
    """nn.TransformerEncoder of two layers."""
    layer = nn.TransformerEncoderLayer(16, heads, 24, dropout=0.0, batch_first=True, norm_first=norm_first)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


class Recurrent(nn.Module):
    """The outputs of a recurrent network over a window, and its last states."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        y, state = self.network(x)
        return (y, *state) if isinstance(state, tuple) else (y, state)


class Choice(nn.Module):
    """torch.cond: one of two functions of the input, by its sum."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cond(x.sum() > 0, lambda x: x * 2, lambda x: torch.tanh(x) - 1, (x,))


class Buffers(nn.Module):
    """Scaling with constants, and a constant as an operand of Where and Gather."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.linspace(-1.0, 1.0, 6))
        self.register_buffer("scale", torch.linspace(0.5, 2.0, 6))
        self.register_buffer("order", torch.tensor([4, 0, 5, 2]))

    def forward(self, x: Tensor) -> Tensor:
        scaled = (x - self.mean) / self.scale
        return torch.where(scaled > self.mean, scaled, 0.1 * scaled).index_select(1, self.order)


def warmed(module: nn.Module, inputs: int) -> nn.Module:
    """The module after it has seen data, so that its running statistics are not 0 and 1."""
    module.train()
    for _ in range(3):
        module(torch.randn(32, inputs) * 1.7 + 0.3)
    return module


def mlp(activation: nn.Module, *widths: int) -> nn.Module:
    """Linear layers with an activation between them."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), activation]
    return nn.Sequential(*layers[:-1])


def norm_mlp() -> nn.Module:
    """The shape of an autoencoder with BatchNorm between its layers."""
    widths = (20, 16, 16, 4, 16)
    layers = [
        layer
        for before, after in pairwise(widths)
        for layer in (nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU())
    ]
    return warmed(nn.Sequential(*layers, nn.Linear(16, 20)), 20)


BOTH: dict[Exporter, int] = {"dynamo": 18, "script": 17}
ACTIVATIONS: dict[str, nn.Module] = {
    "relu": nn.ReLU(),
    "relu6": nn.ReLU6(),
    "leaky_relu": nn.LeakyReLU(0.2),
    "prelu": nn.PReLU(init=0.3),
    "prelu_channels": nn.PReLU(17, init=0.15),
    "elu": nn.ELU(1.3),
    "selu": nn.SELU(),
    "celu": nn.CELU(0.7),
    "sigmoid": nn.Sigmoid(),
    "hardsigmoid": nn.Hardsigmoid(),
    "hardswish": nn.Hardswish(),
    "hardtanh": nn.Hardtanh(-0.4, 0.6),
    "mish": nn.Mish(),
    "silu": nn.SiLU(),
    "gelu": nn.GELU(),
    "gelu_tanh": nn.GELU(approximate="tanh"),
    "tanh": nn.Tanh(),
    "softplus": nn.Softplus(),
    "softsign": nn.Softsign(),
    "logsigmoid": nn.LogSigmoid(),
}

FUNCTIONS: dict[str, tuple[Callable[..., Tensor | tuple[Tensor, ...]], tuple[tuple[int, ...], ...]]] = {
    "arithmetic": (lambda a, b: ((a + b) * (a - b) / (b.abs() + 1.0), -a), ((5,), (5,))),
    "broadcast": (lambda a, b: a.unsqueeze(2) * b.unsqueeze(1) + 0.5, ((3,), (4,))),
    "elementary": (
        lambda x: (torch.exp(x), torch.log(x.abs() + 0.1), torch.sqrt(x.abs()), torch.sin(x), torch.cos(x)),
        ((9,),),
    ),
    "powers": (lambda x: (x**2, x**3, x.abs() ** 0.5, torch.sign(x), torch.rsqrt(x.abs() + 0.1)), ((6,),)),
    "min_max_clip": (lambda a, b: (torch.minimum(a, b), torch.maximum(a, b), a.clamp(-1.0, 0.5)), ((7,), (7,))),
    "compare": (lambda a, b: (a > b, a <= b, torch.where(a >= b, a, b), (a < b).float() * a), ((6,), (6,))),
    "logic": (lambda a, b: ((a > 0) & (b > 0), (a > 0) | (b > 0), ~(a > b)), ((6,), (6,))),
    "reshape": (lambda x: (x.reshape(-1, 4, 3), x.flatten(1), x.reshape(x.shape[0], 2, -1)), ((2, 6),)),
    "transpose": (lambda x: (x.transpose(1, 2), x.permute(0, 3, 1, 2)), ((2, 3, 5),)),
    "concat_split": (lambda x: torch.cat(torch.split(x, (2, 3, 1), dim=1)[::-1], dim=1), ((6,),)),
    "chunk": (lambda x: torch.chunk(x, 3, dim=-1), ((2, 9),)),
    "slice": (lambda x: (x[:, 1:5], x[:, -3:], x[:, ::2], x[..., 0]), ((7, 3),)),
    "squeeze": (lambda x: (x.squeeze(1), x.squeeze(1).unsqueeze(-1)), ((1, 5),)),
    "gather": (lambda x: (x[:, 2], x.index_select(1, torch.tensor([3, 0, 3]))), ((4, 2),)),
    "expand": (lambda x: x.unsqueeze(1).expand(-1, 3, -1) + 1.0, ((4,),)),
    "stack": (lambda a, b: torch.stack((a, b), dim=1), ((4,), (4,))),
    "reduce": (
        lambda x: (x.mean(1), x.sum((1, 2)), x.amax(2, keepdim=True), x.amin(1), x.prod(2), x.mean((1, 2))),
        ((3, 5),),
    ),
    "norms": (
        lambda x: (
            torch.linalg.vector_norm(x, 1, dim=1),
            torch.linalg.vector_norm(x, 2, dim=1, keepdim=True),
            torch.logsumexp(x, 1),
            (x * x).sum(1),
        ),
        ((11,),),
    ),
    "arg": (lambda x: (x.argmax(1), x.argmin(1, keepdim=True), x.argmax(-1)), ((6,),)),
    "softmax": (lambda x: (x.softmax(-1), x.log_softmax(-1), x.softmax(1), nn.functional.softmin(x, 2)), ((4, 5),)),
    "cast": (lambda x: (x.to(torch.int64), x.double() * 2, (x > 0).to(torch.int32), x.int().float() / 3), ((6,),)),
    "normalise": (lambda x: nn.functional.normalize(x, dim=1) * (x - x.mean(1, keepdim=True)), ((8,),)),
    "einsum": (
        lambda a, b: (
            torch.einsum("bij,bkj->bik", a, b),
            torch.einsum("bij,bkj->kb", a, b),
            torch.einsum("...ij->...j", a),
        ),
        ((3, 4), (5, 4)),
    ),
    "attention": (
        lambda q, k, m: nn.functional.scaled_dot_product_attention(q, k, k, attn_mask=m, scale=0.3),
        ((2, 5, 8), (2, 11, 8), (1, 5, 11)),
    ),
    "order": (lambda x: (*x.topk(3, dim=1), x.cumsum(1), x.sort(dim=2, descending=True)[0]), ((5, 4),)),
    "scatter": (
        lambda x: (
            x.gather(1, x.argsort(1)),
            torch.zeros_like(x).scatter(1, x.argmax(1, keepdim=True), 1.5),
            torch.zeros_like(x).scatter_add(1, (x > 0).long(), x),
        ),
        ((6,),),
    ),
    "triangles": (lambda x: (x.triu(1), x.tril(-1), x.repeat(1, 2, 3), x.masked_fill(x > 0, -1.0)), ((4, 5),)),
    "one_hot": (lambda x: (nn.functional.one_hot((x > 0).long(), 3), torch.roll(x, 2, 1), x.flip(1)), ((5,),)),
    "circular": (
        lambda x: (x.tan(), x.atan(), (x / 3).asin(), (x / 3).acos()),
        ((33,),),
    ),
    "ones_like": (lambda x: torch.ones_like(x) + torch.zeros(x.shape[0], 4) + x.new_full((4,), 0.5), ((4,),)),
}


TORCH_CASES: tuple[TorchCase, ...] = (
    *(
        TorchCase(f"mlp_{name}", lambda activation=activation: mlp(activation, 5, 17, 17, 3), ((5,),), BOTH)
        for name, activation in ACTIVATIONS.items()
    ),
    *(
        TorchCase(f"fn_{name}", lambda function=function: Apply(function), shapes, BOTH)
        for name, (function, shapes) in FUNCTIONS.items()
    ),
    TorchCase("policy_4_16_16_1", lambda: mlp(nn.Tanh(), 4, 16, 16, 1), ((4,),), {"dynamo": 20, "script": 11}),
    TorchCase("policy_16_64_64_4", lambda: mlp(nn.ReLU(), 16, 64, 64, 4), ((16,),), {"dynamo": 23, "script": 9}),
    TorchCase("policy_odd_widths", lambda: mlp(nn.Tanh(), 7, 33, 1, 19, 2), ((7,),), {"dynamo": 18}),
    TorchCase("linear_without_bias", lambda: nn.Linear(6, 5, bias=False), ((6,),), BOTH),
    TorchCase("linear_on_3d", lambda: nn.Sequential(nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, 2)), ((4, 6),), BOTH),
    TorchCase("classifier", lambda: nn.Sequential(mlp(nn.ReLU(), 8, 12, 5), nn.Softmax(dim=1)), ((8,),), BOTH),
    TorchCase("log_classifier", lambda: nn.Sequential(mlp(nn.ReLU(), 8, 12, 5), nn.LogSoftmax(dim=1)), ((8,),), BOTH),
    TorchCase("batch_norm_mlp", norm_mlp, ((20,),), BOTH),
    TorchCase("batch_norm_first", lambda: warmed(nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 2)), 6), ((6,),), BOTH),
    TorchCase("batch_norm_last", lambda: warmed(nn.Sequential(nn.Tanh(), nn.BatchNorm1d(6)), 6), ((6,),), BOTH),
    TorchCase("layer_norm", lambda: nn.LayerNorm(13), ((13,),), {"dynamo": 18, "script": 17}),
    TorchCase("layer_norm_opset13", lambda: nn.LayerNorm(13), ((13,),), {"script": 13}),
    TorchCase("layer_norm_2d", lambda: nn.LayerNorm((3, 7)), ((3, 7),), BOTH),
    TorchCase("residual", Residual, ((24,),), {"dynamo": 20, "script": 17}),
    TorchCase("dropout", lambda: nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 2)), ((6,),), BOTH),
    TorchCase("attention", Attention, ((6, 8),), BOTH),
    TorchCase("encoder", lambda: encoder(False), ((9, 16),), {"dynamo": 18, "script": 17}, static=1),
    TorchCase("encoder_norm_first", lambda: encoder(True, 4), ((21, 16),), {"dynamo": 23, "script": 14}, static=2),
    TorchCase("multihead", MultiHead, ((4, 12), (37, 12)), {"dynamo": 18, "script": 17}, static=2),
    TorchCase(
        "hyperbolic",
        lambda: Apply(lambda x: (x.sinh(), x.cosh(), x.asinh(), (x / 4).atanh())),
        ((33,),),
        {"dynamo": 18},
    ),
    TorchCase("rotary", Rotary, ((5, 24),), {"dynamo": 18}, static=2),
    TorchCase("rotary_opset23", Rotary, ((5, 24),), {"dynamo": 23}, static=1),
    TorchCase(
        "lstm", lambda: Recurrent(nn.LSTM(5, 13, num_layers=2, batch_first=True)), ((7, 5),), BOTH, static=1, high=1.0
    ),
    TorchCase(
        "lstm_bidirectional",
        lambda: Recurrent(nn.LSTM(5, 16, bidirectional=True, batch_first=True)),
        ((7, 5),),
        BOTH,
        static=3,
    ),
    TorchCase(
        "gru",
        lambda: Recurrent(nn.GRU(5, 17, num_layers=2, bidirectional=True, batch_first=True)),
        ((7, 5),),
        BOTH,
        static=2,
    ),
    TorchCase("rnn", lambda: Recurrent(nn.RNN(5, 9, batch_first=True)), ((7, 5),), BOTH, static=1),
    TorchCase("rnn_relu", lambda: Recurrent(nn.RNN(5, 9, nonlinearity="relu", bias=False)), ((7, 5),), BOTH, static=2),
    TorchCase("cond", Choice, ((6,),), {"dynamo": 18}, static=1),
    TorchCase("buffers", Buffers, ((6,),), BOTH),
    TorchCase("two_inputs", TwoInputs, ((6,), (3,)), BOTH),
    TorchCase("gelu_opset20", lambda: mlp(nn.GELU(), 5, 17, 3), ((5,),), {"dynamo": 20, "script": 20}),
    TorchCase("gelu_tanh_opset20", lambda: mlp(nn.GELU("tanh"), 5, 17, 3), ((5,),), {"dynamo": 20, "script": 20}),
    TorchCase("static_batch_1", lambda: mlp(nn.Tanh(), 6, 10, 2), ((6,),), BOTH, static=1),
    TorchCase("static_batch_7", lambda: mlp(nn.ELU(), 6, 10, 2), ((6,),), BOTH, static=7),
    TorchCase("float64", lambda: mlp(nn.Tanh(), 6, 20, 3), ((6,),), BOTH, dtype=torch.float64),
    # no LayerNorm in float64: ONNX computes its mean and deviation in float32 (stash_type), PyTorch does not
    TorchCase("float64_gelu", lambda: mlp(nn.GELU(), 6, 20, 3), ((6,),), BOTH, dtype=torch.float64),
    TorchCase("large_inputs", lambda: mlp(nn.Tanh(), 5, 17, 3), ((5,),), BOTH, low=-1e3, high=1e3),
)
