"""The page of the engine's Python interface, from its docstrings: `python -m tests.rt_engine.api_page > docs/api.md`."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import rt_engine
import rt_engine.contract
import rt_engine.state

HEAD = """# The engine in Python

Made from the docstrings by `python -m tests.rt_engine.api_page`; a test keeps it true. A first look, step by step, is
[examples/evaluate_in_python.py](../examples/evaluate_in_python.py); what `import rt_engine` gives is all here.

```python
{example}
```
"""
FOR_NATIVE_CODE = {
    "block_address",
    "execute_address",
    "run_samples",
    "version_address",
    "address",
    "reader",
    "release",
    "readers",
}
"""What tasks need of these objects: docs/architecture.md."""
FIRST = (
    "load",
    "Model",
    "Context",
    "TensorSpec",
    "Report",
    "quantize",
    "Quantized",
    "ModelSlot",
    "UpdateResult",
    "Status",
)
"""In the order in which a reader meets them; what is public and not here comes behind."""


def page() -> str:
    """The whole of it."""
    example = (rt_engine.__doc__ or "").partition("\n\n")[2].strip()
    names = [*FIRST, *sorted(set(rt_engine.__all__) - {*FIRST, "errors", "__version__"})]
    parts = [HEAD.format(example="import rt_engine\n\n" + example)]
    parts += [section(f"rt_engine.{name}", getattr(rt_engine, name)) for name in names]
    parts += [section(f"rt_engine.state.{name}", getattr(rt_engine.state, name)) for name in ("to_bytes", "from_bytes")]
    own = [name for name in rt_engine.contract.__all__ if not name.endswith("Error")]
    parts += [section(f"rt_engine.contract.{name}", getattr(rt_engine.contract, name)) for name in own]
    tree = (rt_engine.errors.__doc__ or "").split("\n\n")[1]
    parts.append(
        f"## rt_engine.errors\n\n```text\n{tree}\n```\n\n## rt_engine.\\_\\_version\\_\\_\n\nThe version, as text.\n"
    )
    return "\n".join(parts)


def section(name: str, thing: Any) -> str:
    """A function, or a class with all that it has."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(thing))).body[0]
    assert isinstance(tree, ast.FunctionDef | ast.ClassDef)
    if isinstance(tree, ast.FunctionDef):
        return f"## {name}\n\n{signature(name, tree)}{text(tree)}"
    made = next((node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"), None)
    call = signature(name, made) if made and tree.name == "ModelSlot" else ""  # the others are made by functions
    members = "".join(f"- {title}{': ' if told else ''}{told}\n" for title, told in fields(tree))
    methods = [
        f"### {tree.name}.{m.name}\n\n{signature(m.name, m)}{text(m)}" for m in public(tree) if not is_property(m)
    ]
    return "\n".join([f"## {name}\n\n{call}{text(tree)}", *([members] if members else []), *methods])


def is_property(node: ast.FunctionDef) -> bool:
    """Is it read like an attribute?"""
    return any(ast.unparse(decorator) == "property" for decorator in node.decorator_list)


def public(tree: ast.ClassDef) -> Iterator[ast.FunctionDef]:
    """Methods and properties for users; a setter is told where its property is."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and node.name not in FOR_NATIVE_CODE:
            is_setter = any(ast.unparse(decorator).endswith(".setter") for decorator in node.decorator_list)
            yield from () if is_setter else (node,)


def fields(tree: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """(name with its type, text) of what is read: fields, members of an enumeration, properties."""
    for node, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        told = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
        if isinstance(node, ast.AnnAssign):
            yield f"`{ast.unparse(node.target)}: {ast.unparse(node.annotation)}`", escaped(str(told))
        elif isinstance(node, ast.Assign) and not ast.unparse(node).startswith("_"):
            yield f"`{ast.unparse(node)}`", escaped(str(told))
    for node in public(tree):
        if is_property(node):
            yield f"`{node.name}: {annotation(node.returns)}`", " ".join(text(node).split())


def signature(name: str, node: ast.FunctionDef) -> str:
    """The call as code, without `self`; long ones a line for each argument."""
    given = node.args
    defaults = [None] * (len(given.args) - len(given.defaults)) + given.defaults
    places = [argument(a, d) for a, d in zip(given.args, defaults, strict=True) if a.arg != "self"]
    names = [argument(a, d) for a, d in zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    arguments = places + (["*", *names] if names else [])
    gives = "" if node.name == "__init__" else f" -> {annotation(node.returns)}"
    line = f"{name}({', '.join(arguments)}){gives}"
    if len(line) > 120:
        line = "\n    ".join([f"{name}(", *(f"{a}," for a in arguments)]) + f"\n){gives}"
    return f"```text\n{line}\n```\n\n"


def argument(given: ast.arg, default: ast.expr | None) -> str:
    """`name: type = default`."""
    return f"{given.arg}: {annotation(given.annotation)}" + (f" = {ast.unparse(default)}" if default else "")


def annotation(node: ast.expr | None) -> str:
    """A type as it stands in the source, without the quotes of a name that comes later."""
    return ast.unparse(node).strip("'") if node else "None"


def text(node: ast.FunctionDef | ast.ClassDef) -> str:
    """A docstring as Markdown: `Args:` and `Raises:` become lists."""
    told = ast.get_docstring(node) or ""
    assert told, f"{node.name} has no docstring"
    out = []
    for paragraph in told.split("\n\n"):
        head, _, rest = paragraph.partition("\n")
        if head in ("Args:", "Raises:"):
            items = re.split(r"\n(?! )", textwrap.dedent(rest))
            names = (item.partition(": ") for item in items)
            out.append("\n".join([f"{head}", "", *(f"- `{n}`: {escaped(' '.join(t.split()))}" for n, _, t in names)]))
        else:
            out.append(escaped(paragraph))
    return "\n\n".join(out) + "\n"


def escaped(told: str) -> str:
    """Text in which Markdown sees nothing of its own, but code."""
    parts = re.split(r"(`[^`]*`)", " ".join(told.split()))
    return "".join(part if part.startswith("`") else re.sub(r"([*<\[])", r"\\\1", part) for part in parts)


if __name__ == "__main__":
    print(page(), end="")
