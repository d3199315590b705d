"""The same for people: one page without a script, of what /openapi.json and the models' metadata say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from plc_bindings.http.described import Described
from plc_bindings.http.openapi import openapi
from rt_native.text import in_html

STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color-scheme: light dark; }
table { border-collapse: collapse; margin: 0.5rem 0 1.5rem; }
td, th { text-align: left; padding: 0.2rem 1rem 0.2rem 0; border-bottom: 1px solid #8884; vertical-align: top; }
code, pre { font-family: ui-monospace, monospace; font-size: 0.9em; }
pre { padding: 0.8rem; border: 1px solid #8884; overflow-x: auto; }
"""


def page(station: str, models: Sequence[Described]) -> str:
    """HTML: the paths, and each model with a request that can be sent as it stands."""
    paths = [
        (method.upper(), path, told["summary"])
        for path, methods in openapi(station, models)["paths"].items()
        for method, told in methods.items()
        if method in ("get", "post")
    ]
    title = f"Models of the station {in_html(station)}"
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        '<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/page.css"></head><body>',
        f"<h1>{title}</h1><p>The Open Inference Protocol, version 2: <code>tritonclient</code> and KServe clients call it. ",
        'For tools: <a href="/openapi.json">/openapi.json</a>.</p>',
        *(_model(one) for one in models),
        "<h2>Paths</h2>",
        _table(("", "path", ""), paths),
        "</body></html>",
    ]
    return "".join(parts)


def _model(one: Described) -> str:
    rows = [
        (end, tensor["name"], tensor["datatype"], json.dumps(tensor["shape"]))
        for end, tensors in (("in", one.metadata()["inputs"]), ("out", one.metadata()["outputs"]))
        for tensor in tensors
    ]
    return (
        f"<h2>{in_html(one.name)}</h2><p>version {in_html(one.version)}, up to {one.batch} runs in a call (-1)</p>"
        f"{_table(('', 'tensor', 'type', 'shape'), rows)}<pre>POST /v2/models/{in_html(one.name)}/infer\n\n"
        f"{in_html(json.dumps(example(one)))}</pre>"
    )


def example(one: Described) -> dict[str, Any]:
    """A request of one run that the model takes."""
    inputs = []
    for end in one.ends.inputs:
        value: Any = end.names[0] if end.names else False if end.datatype == "BOOL" else 0
        shape = [1, *end.rest]
        data = [value] * end.size if end.size <= 16 else [value, "..."]
        inputs.append({"name": end.name, "datatype": end.datatype, "shape": shape, "data": data})
    return {"inputs": inputs}


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{in_html(one)}</th>" for one in heads)
    body = "".join("<tr>" + "".join(f"<td><code>{in_html(cell)}</code></td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
