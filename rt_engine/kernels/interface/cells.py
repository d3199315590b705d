"""Recurrent cells: numbers of activations, bits of flags. Imports no Numba."""

CELL_ACTIVATIONS: dict[str, tuple[float, float]] = {
    "Tanh": (0.0, 0.0),
    "Sigmoid": (0.0, 0.0),
    "Relu": (0.0, 0.0),
    "Affine": (1.0, 0.0),
    "LeakyRelu": (0.01, 0.0),
    "ThresholdedRelu": (1.0, 0.0),
    "ScaledTanh": (1.0, 1.0),
    "HardSigmoid": (0.2, 0.5),
    "Elu": (1.0, 0.0),
    "Softsign": (0.0, 0.0),
    "Softplus": (0.0, 0.0),
}
"""Activation of a recurrent cell -> alpha and beta where the model gives none; its number is its place."""

CELL_FLAGS = {
    "read_h": 1,
    "read_c": 2,
    "gru": 4,
    "rnn": 8,
    "linear_before_reset": 16,
    "peepholes": 32,
    "input_forget": 64,
}
"""Bits of a cell's flags: the states that are read, the kind (LSTM where none is set), and ONNX's attributes."""

WORK = 8
"""Vectors of work per block of hidden units."""
