"""ONNX Runtime as a judge: its session, with the settings that make its results right on every processor."""

from pathlib import Path

import onnx
import onnxruntime


def session(model: onnx.ModelProto | Path, *, optimised: bool = True) -> onnxruntime.InferenceSession:
    """A session on one thread.

    Processors without VNNI multiply unsigned by signed bytes in 16 bits that saturate; ONNX Runtime does so unless it is told
    to be exact: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html (U8S8 on x86-64 with AVX2).
    It cannot be told so of every model with signed bytes; those it computes exactly by itself.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    plain = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    options.add_session_config_entry("session.x64quantprecision", "1")
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented:
        return plain
