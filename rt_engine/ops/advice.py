"""What to do about an operator that is not here: the nearest thing that works. No operator of its own."""

from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache

import onnx

from rt_engine.ops import operators

_BEFORE = (
    "it works on free text, which no cycle has time for: do it before the model; strings that are categories do run"
)
_TENSORFLOW = "TensorFlow's, which its exporter could not put in ONNX's words: write that layer with others"
_ADVICE = {
    "Adagrad": "export for inference",
    "Adam": "export for inference",
    "Bernoulli": "feed the random numbers as an input",
    "Bucketize": _TENSORFLOW,
    "DictVectorizer": _BEFORE,
    "Gradient": "export for inference",
    "ImageDecoder": "decode the image before the model",
    "Erfc": "TensorFlow's, from a GELU: export with keras.activations.gelu(x, approximate=True)",
    "IRFFT": _TENSORFLOW,
    "Momentum": "export for inference",
    "Multinomial": "feed the random numbers as an input",
    "Random*": "feed the random numbers as an input",
    "RFFT": _TENSORFLOW,
    "RegexFullMatch": _BEFORE,
    "StatefulPartitionedCall": _TENSORFLOW,
    "String*": _BEFORE,
    "TfIdfVectorizer": _BEFORE,
    "Tokenizer": _BEFORE,
}
"""ONNX name (or pattern) -> what helps."""


def advice(domain: str, name: str, version: int) -> str:
    """What helps where there is no operator `domain:name` of opset `version`."""
    for pattern, help in _ADVICE.items():
        if fnmatchcase(name, pattern):
            return help
    served = operators()
    if (domain, name) in served:
        oldest = max(min(operator.since for operator in served[domain, name]), _since(domain, name))
        return f"it runs from opset {oldest} on: export it again for that opset or a newer one"
    if domain == "com.microsoft.nchwc":
        return (
            "its layout is for one kind of processor, and the file does not say for which: "
            "save the model at the optimiser's level 'extended', not 'all'"
        )
    if (elsewhere := next((d for d, n in served if n == name), None)) is not None:
        return f"{name} runs in domain '{elsewhere or 'ai.onnx'}'; export without what one runtime's optimiser adds"
    if domain not in domains_of_onnx():
        return "export with ONNX's own operators, without what one runtime's optimiser adds"
    near = get_close_matches(name, {n for d, n in served if d == domain}, n=1, cutoff=0.7)
    near_words = f"the nearest operator here is {near[0]}; " if near else ""
    return (
        near_words
        + "leave this step out of the exported model, or compute it in a step; docs/operators.md lists what runs"
    )


def _since(domain: str, name: str) -> int:
    """The opset that an operator came with."""
    return min(
        (s.since_version for s in onnx.defs.get_all_schemas_with_history() if (s.domain, s.name) == (domain, name)),
        default=1,
    )


@cache
def domains_of_onnx() -> frozenset[str]:
    """The domains of all operators that the installed `onnx` defines."""
    return frozenset(schema.domain for schema in onnx.defs.get_all_schemas())
