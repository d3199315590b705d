"""Operators of ONNX Runtime (com.microsoft) that are rewritten to standard ones, and what each then is. No operator of its own.

Its optimisers and quantisers write them; `rt_engine.passes.microsoft` does the rewriting.
"""

MICROSOFT = "com.microsoft"

REWRITTEN = {
    "Attention": "MatMul, Softmax, MatMul, with masks, past and present",
    "BiasGelu": "Add, Gelu",
    "DequantizeLinear": "DequantizeLinear; of 16 bits Cast, Sub, Mul; weights of 4 and 2 bits are bytes",
    "DynamicQuantizeLSTM": "Scan over DynamicQuantizeLinear, MatMulInteger and the gates",
    "DynamicQuantizeMatMul": "DynamicQuantizeLinear, MatMulInteger, Mul, Add",
    "EmbedLayerNormalization": "Gather, Add, LayerNormalization",
    "FastGelu": "Add, Gelu by tanh",
    "FusedConv": "Conv, Add, the activation",
    "FusedGemm": "Gemm, the activation",
    "FusedMatMul": "Transpose, MatMul, Mul",
    "GatherND": "GatherND",
    "Gelu": "Gelu",
    "GridSample": "GridSample",
    "LayerNormalization": "LayerNormalization",
    "MatMulIntegerToFloat": "MatMulInteger, Mul, Add",
    "MatMulNBits": "MatMul with weights that are dequantised when the model is loaded",
    "MultiHeadAttention": "MatMul, Softmax, MatMul, with masks, past and present",
    "NhwcMaxPool": "MaxPool",
    "QAttention": "MatMulInteger, then as Attention",
    "QEmbedLayerNormalization": "DequantizeLinear, then as EmbedLayerNormalization",
    "QGemm": "DequantizeLinear, Gemm, QuantizeLinear",
    "QLinearAdd": "DequantizeLinear, Add, QuantizeLinear",
    "QLinearAveragePool": "DequantizeLinear, AveragePool, QuantizeLinear",
    "QLinearConcat": "DequantizeLinear, Concat, QuantizeLinear",
    "QLinearConv": "QLinearConv",
    "QLinearGlobalAveragePool": "DequantizeLinear, GlobalAveragePool, QuantizeLinear",
    "QLinearLeakyRelu": "DequantizeLinear, LeakyRelu, QuantizeLinear",
    "QLinearMul": "DequantizeLinear, Mul, QuantizeLinear",
    "QLinearReduceMean": "DequantizeLinear, ReduceMean, QuantizeLinear",
    "QLinearSigmoid": "DequantizeLinear, Sigmoid, QuantizeLinear",
    "QLinearSoftmax": "DequantizeLinear, Softmax, QuantizeLinear",
    "QLinearWhere": "DequantizeLinear, Where, QuantizeLinear",
    "QuantizeLinear": "QuantizeLinear; of 16 bits Div, Round, Add, Clip, Cast",
    "QuickGelu": "x * Sigmoid(alpha * x)",
    "RotaryEmbedding": "Gather of the caches, Mul, Sub, Add, Concat",
    "SimplifiedLayerNormalization": "RMSNormalization",
    "SkipLayerNormalization": "Add, LayerNormalization",
    "SkipSimplifiedLayerNormalization": "Add, RMSNormalization",
    "TransposeMatMul": "Transpose, MatMul, Mul",
    "Trilu": "Trilu",
}
"""Operator -> the standard operators that it becomes."""


def is_rewritten(domain: str, name: str) -> bool:
    """Is it replaced by standard operators when the model is loaded?"""
    return domain == MICROSOFT and name in REWRITTEN
