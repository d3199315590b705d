"""The table of operators for docs/operators.md: `python -m rt_engine.ops.table > docs/operators.md`."""

from rt_engine.ops import operators
from rt_engine.ops.microsoft import MICROSOFT, REWRITTEN

_HEAD = """# Operators

Made by `python -m rt_engine.ops.table`; a test keeps it true. "From opset" is the first version of the operator's set for which
this engine knows the rules; up to the newest version that the installed `onnx` has. float32 and float64 everywhere, integers and
bool where ONNX defines them. What is not here is refused when the model is loaded, with the node's name and the reason.

To add one: a function in a file of `rt_engine/ops` (see `rt_engine/ops/unary.py` for the smallest) and, if no kernel does the
work yet, a kernel in `rt_engine/kernels`.
"""

_REWRITTEN = """
## Operators of ONNX Runtime

What its optimisers and quantisers write is put in the standard's words when the model is loaded
(`rt_engine/passes/microsoft`), and so are `LayerNormalization` before opset 17 and `SimplifiedLayerNormalization`, which they
write without a domain. Files for one kind of processor (level `all`: `com.microsoft.nchwc`) are refused, since their weights lie in
blocks of 8 or 16 channels, and no file says of which: save them at level `extended`.
"""


def table() -> str:
    """The page, as Markdown."""
    lines = [_HEAD, "| operator | from opset | what it does | file |", "|---|---|---|---|"]
    for (domain, name), found in sorted(operators().items()):
        for operator in sorted(found, key=lambda o: o.since):
            what = (operator.lower.__doc__ or "").split("\n")[0].replace("|", "\\|")
            place = operator.lower.__module__.replace(".", "/") + ".py"
            lines.append(f"| {domain + ':' if domain else ''}{name} | {operator.since} | {what} | `{place}` |")
    lines += [_REWRITTEN, "| operator | what it becomes |", "|---|---|"]
    lines += [f"| {MICROSOFT}:{name} | {words} |" for name, words in sorted(REWRITTEN.items())]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
