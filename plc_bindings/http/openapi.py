"""The server, described as OpenAPI 3.1: for people, and for tools that make clients or try what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from plc_bindings.http.described import Described
from plc_bindings.http.ends import BYTES, CODES
from rt_native import version

_REFUSED: Final = {
    "400": "The request is not what the protocol, or the model, wants: what, where, expected, got.",
    "401": "A token is wanted: `Authorization: Bearer TOKEN`.",
    "403": "Asked by another site, or by another name; or what this server does not do.",
    "404": "There is no such model, version or path.",
    "405": "There is such a path, for another method.",
    "408": "The body did not come in time.",
    "409": "Another call of the sequence is under way.",
    "413": "The body or the batch is too large.",
    "415": "The body has a coding that is not known.",
    "422": "The model ended with a status.",
    "429": "Too many requests.",
    "503": "Too many large bodies, or sequences, at once.",
}
_SCHEMAS: Final[dict[str, Any]] = {
    "Error": {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}},
    "Parameters": {"type": "object", "additionalProperties": True},
    "Datatype": {"enum": [*CODES, BYTES]},
    "Described": {
        "type": "object",
        "required": ["name", "datatype", "shape"],
        "properties": {
            "name": {"type": "string"},
            "datatype": {"$ref": "#/components/schemas/Datatype"},
            "shape": {"type": "array", "items": {"type": "integer"}, "description": "-1 stands for a batch"},
        },
    },
    "Tensor": {
        "type": "object",
        "required": ["name", "datatype", "shape"],
        "properties": {
            "name": {"type": "string"},
            "datatype": {"$ref": "#/components/schemas/Datatype"},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
            "data": {"type": "array", "description": "flat, or nested as the shape says; null: NaN"},
            "parameters": {"$ref": "#/components/schemas/Parameters"},
        },
    },
    "Request": {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "parameters": {"$ref": "#/components/schemas/Parameters"},
            "inputs": {"type": "array", "items": {"$ref": "#/components/schemas/Tensor"}},
            "outputs": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {
                        "name": {"type": "string"},
                        "parameters": {"$ref": "#/components/schemas/Parameters"},
                    },
                },
            },
        },
    },
    "Response": {
        "type": "object",
        "required": ["model_name", "model_version", "outputs"],
        "properties": {
            "model_name": {"type": "string"},
            "model_version": {"type": "string", "description": "the version that computed"},
            "id": {"type": "string"},
            "parameters": {"$ref": "#/components/schemas/Parameters"},
            "outputs": {"type": "array", "items": {"$ref": "#/components/schemas/Tensor"}},
        },
    },
    "Metadata": {
        "type": "object",
        "required": ["name", "versions", "platform", "inputs", "outputs"],
        "properties": {
            "name": {"type": "string"},
            "versions": {"type": "array", "items": {"type": "string"}},
            "platform": {"type": "string"},
            "inputs": {"type": "array", "items": {"$ref": "#/components/schemas/Described"}},
            "outputs": {"type": "array", "items": {"$ref": "#/components/schemas/Described"}},
        },
    },
    "Any": {"type": "object"},
}


def openapi(station: str, models: Sequence[Described]) -> dict[str, Any]:
    """The document of a server."""
    name = {"name": "model", "in": "path", "required": True, "schema": {"enum": [one.name for one in models]}}
    number = {"name": "version", "in": "path", "required": True, "schema": {"type": "string"}}
    paths: dict[str, Any] = {
        "/v2": {"get": _told("The server: name, version, extensions")},
        "/v2/health/live": {"get": _told("Does it live?")},
        "/v2/health/ready": {"get": _told("Can every model be called?")},
        "/v2/models/stats": {"get": _told("Calls of every model")},
        "/v2/repository/index": {"post": _told("The models, their versions and states", {"type": "array"})},
    }
    for base, parameters in (("/v2/models/{model}", [name]), ("/v2/models/{model}/versions/{version}", [name, number])):
        for path, words, schema in (
            ("", "What a model takes and gives", "Metadata"),
            ("/ready", "Can it be called?", "Any"),
            ("/config", "Its configuration, as Triton words it", "Any"),
            ("/stats", "Its calls", "Any"),
        ):
            told = _told(words, {"$ref": f"#/components/schemas/{schema}"})
            paths[base + path] = {"get": told, "parameters": parameters}
        paths[f"{base}/infer"] = {"post": _inference(), "parameters": parameters}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Models of the station {station}",
            "version": version.TEXT,
            "description": "The Open Inference Protocol, version 2, with binary tensors.",
        },
        "paths": paths,
        "components": {"schemas": _SCHEMAS, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{}, {"token": []}],
    }


def _told(words: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    good = {"description": words, "content": {"application/json": {"schema": schema or {"type": "object"}}}}
    return {"summary": words, "responses": {"200": good, **_refused()}}


def _refused() -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {status: {"description": words, "content": content} for status, words in _REFUSED.items()}


def _inference() -> dict[str, Any]:
    binary = {"schema": {"type": "string", "format": "binary"}}
    json_ = {"schema": {"$ref": "#/components/schemas/Request"}}
    good = {
        "description": "The outputs; those that were asked for binary stand behind the JSON",
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/Response"}},
            "application/octet-stream": binary,
        },
    }
    return {
        "summary": "The outputs for these inputs",
        "parameters": [
            {
                "name": "Inference-Header-Content-Length",
                "in": "header",
                "schema": {"type": "integer", "minimum": 0},
                "description": "bytes of the JSON, where binary tensors follow",
            }
        ],
        "requestBody": {"required": True, "content": {"application/json": json_, "application/octet-stream": binary}},
        "responses": {"200": good, **_refused()},
    }
