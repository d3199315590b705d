"""Multilayer perceptrons: control policies, and the autoencoder of MLPerf Tiny's anomaly detection (ToyADMOS)."""

import itertools

import torch
from torch import nn

from benchmarks.zoo import Export, model
from benchmarks.zoo._torch import TOOLS, export, seeded, with_statistics


def perceptron(widths: list[int], activation: type[nn.Module], batch_norm: bool = False) -> nn.Sequential:
    """Linear (+ BatchNorm) + activation per hidden layer, Linear at the end."""
    layers: list[nn.Module] = []
    for k, n in itertools.pairwise(widths[:-1]):
        layers += [nn.Linear(k, n), *([nn.BatchNorm1d(n)] if batch_norm else []), activation()]
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))


def _export(widths: list[int], activation: type[nn.Module], batch_norm: bool = False) -> Export:
    seeded()
    module = with_statistics(perceptron(widths, activation, batch_norm))
    return export(module, {"x": torch.randn(1, widths[0])})


@model("mlp-4-16-16-1", "MLP 4-16-16-1 (tanh)", tools=TOOLS)
def mlp_small() -> Export:
    """A policy that balances a pole."""
    return _export([4, 16, 16, 1], nn.Tanh)


@model("mlp-16-64-64-4", "MLP 16-64-64-4 (relu)", tools=TOOLS)
def mlp_medium() -> Export:
    """A policy for a small robot."""
    return _export([16, 64, 64, 4], nn.ReLU)


@model("mlp-32-256-256-8", "MLP 32-256-256-8 (tanh)", tools=TOOLS)
def mlp_large() -> Export:
    """A policy as reinforcement learning makes them."""
    return _export([32, 256, 256, 8], nn.Tanh)


@model("autoencoder", "autoencoder 640-128x4-8-128x4-640, BN (MLPerf Tiny)", tools=TOOLS)
def autoencoder() -> Export:
    """Dense layers with batch norm; the spectrum of a machine's sound in and out."""
    return _export([640, 128, 128, 128, 128, 8, 128, 128, 128, 128, 640], nn.ReLU, batch_norm=True)
