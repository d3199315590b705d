"""Names of kernels, as operators and programs write them. This file is read at run time and imports no Numba.

A kernel's name is `<operation>_<type>`: `relu_f32`, `add_f64`, `less_int`, `where_4`. The layouts of the records are
in the modules of the kernels: `elementwise`, `booleans`, `integers`.
"""

KERNEL_PREFIX = "k_"
"""What distinguishes kernels from the library's other exports."""

FLOAT_SUFFIXES = ("f32", "f64")

_NO_PARAMETERS = (
    "neg abs sqrt exp log sin cos sign relu sigmoid hardswish mish gelu gelu_tanh tanh softplus softsign reciprocal "
    "floor ceil round erf"
)

UNARY_FLOAT: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_NO_PARAMETERS.split(), ()),
    "leakyrelu": ("alpha",),
    "elu": ("alpha",),
    "selu": ("alpha", "gamma"),
    "celu": ("alpha",),
    "swish": ("alpha",),
    "hardsigmoid": ("alpha", "beta"),
    "clip": ("low", "high"),
}
"""Operation -> its parameters, in the order of the record's `param`; suffixes f32, f64."""

BINARY_FLOAT = ("add", "sub", "mul", "div", "pow", "min", "max", "prelu", "fmod", "mod")
"""Two float tensors give one; suffixes f32, f64. `fmod` has the sign of the dividend, `mod` that of the divisor."""

TERNARY_FLOAT = ("scale_shift",)
"""x * s + b, rounded once; suffixes f32, f64."""

COMPARE = ("equal", "less", "less_or_equal", "greater", "greater_or_equal")
"""Two tensors give bool; suffixes f32, f64, int."""

BINARY_BOOL = ("and", "or", "xor", "equal")
"""Two bool tensors give one; suffix bool."""

UNARY_BOOL = ("not",)
"""Suffix bool."""

BINARY_INTEGER = (
    *("add", "sub", "mul", "div", "pow", "min", "max", "fmod", "mod"),
    *("bit_and", "bit_or", "bit_xor", "shift_left", "shift_right"),
)
"""Two integer tensors of one type give one of that type; suffix int."""

UNARY_INTEGER = ("neg", "abs", "sign", "bit_not")
"""Suffix int."""

WHERE_BYTES = (1, 2, 4, 8)
"""`where_<bytes>`: select by a bool tensor, between tensors whose elements have that many bytes."""

# --- reductions, rows, movement: modules `reduce`, `reduce_integer`, `normalise`, `movement`, `cast` ------------------

REDUCE_FLOAT = ("sum", "mean", "max", "min", "prod", "l1", "l2", "sum_square", "log_sum", "log_sum_exp")
"""`reduce_<operation>_<suffix>`: one axis goes; suffixes f32, f64."""

REDUCE_INTEGER = ("sum", "mean", "max", "min", "prod", "l1", "l2", "sum_square")
"""`reduce_<operation>_int`."""

ARG = ("argmax", "argmin")
"""Index of the largest, the smallest; suffixes f32, f64, int."""

NORMALISE = ("softmax", "log_softmax", "layer_norm")
"""Rows scaled by their own statistics; suffixes f32, f64."""

MATMUL_INTEGER = ("matmul_i32", "matmul_i64")
"""Products of integer matrices, signed and unsigned alike."""

COPY_BYTES = (1, 2, 4, 8)
"""`copy_strided_<bytes>`: any copy between strided tensors, planned by `strides.copy_table`."""

MOVEMENT = ("copy_blocks", "gather_blocks", "gather_blocks_checked", "fill", "cast")

# --- recurrent cells: modules `recurrent`, `recurrent_general` ---------------------------------------------------------

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
