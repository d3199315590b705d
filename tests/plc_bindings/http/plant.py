"""A server of the Open Inference Protocol in a thread, with small models, and a client that says what it likes.

policy   x FP32[1, 16] -> y FP32[1, 4]
kinds    one input and one output of each datatype that a PLC has, [3]: out is what came in
names    colour BYTES[1, 2] -> colour again, BYTES
sum      x FP32[2] -> total FP32[2]: what came until now, a state
odd      x FP32[1, 2] -> its logarithm
"""

import http.client
import json
from contextlib import contextmanager
from functools import cache

import numpy as np
from onnx import TensorProto, helper

import rt_engine
from benchmarks.models import mlp
from plc_bindings.data.models import Models
from plc_bindings.http.server import HttpOptions, HttpServer
from plc_bindings.security.access import Access, Limits
from plc_bindings.web.apart import Place
from tests.loops import running

KINDS = {
    "BOOL": TensorProto.BOOL,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
}
COLOURS = ["red", "green", "blue"]


def made(name, inputs, outputs, nodes):
    """A model of (name, type, shape) and nodes."""
    ends = [[helper.make_tensor_value_info(*end) for end in group] for group in (inputs, outputs)]
    graph = helper.make_graph(nodes, name, *ends)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def kinds(names=tuple(KINDS)):
    """Every datatype, there and back."""
    types = {**KINDS, "FP16": TensorProto.FLOAT16}
    inputs = [(f"in_{name}", types[name], [3]) for name in names]
    outputs = [(f"out_{name}", types[name], [3]) for name in names]
    return made("kinds", inputs, outputs, [helper.make_node("Identity", [f"in_{n}"], [f"out_{n}"]) for n in names])


def names():
    """A colour becomes a number and a colour again."""
    key = {"keys_strings": COLOURS, "values_int64s": [0, 1, 2], "default_int64": 1}
    back = {"keys_int64s": [0, 1, 2], "values_strings": COLOURS, "default_string": "green"}
    nodes = [
        helper.make_node("LabelEncoder", ["colour"], ["number"], domain="ai.onnx.ml", **key),
        helper.make_node("LabelEncoder", ["number"], ["again"], domain="ai.onnx.ml", **back),
    ]
    string = TensorProto.STRING
    return made("names", [("colour", string, [1, 2])], [("again", string, [1, 2])], nodes)


def total():
    """What came until now."""
    real = TensorProto.FLOAT
    nodes = [helper.make_node("Add", ["x", "before"], ["total"])]
    return made("sum", [("x", real, [2]), ("before", real, [2])], [("total", real, [2])], nodes)


def odd():
    """NaN of what is negative, infinity of 0."""
    real = TensorProto.FLOAT
    return made("odd", [("x", real, [1, 2])], [("y", real, [1, 2])], [helper.make_node("Log", ["x"], ["y"])])


@cache
def loaded():
    """Name -> model."""
    return {
        "policy": rt_engine.load(mlp((16, 64, 64, 4), "Relu")),
        "kinds": rt_engine.load(kinds()),
        "names": rt_engine.load(names()),
        "sum": rt_engine.load(total(), state={"total": "before"}),
        "odd": rt_engine.load(odd()),
    }


class Served:
    """A server that runs; `audited`: what its audit log would have."""

    def __init__(self, server, slots, audited):
        self.server, self.slots, self.audited = server, slots, audited
        self.port = server.address[1]

    @property
    def url(self):
        return f"127.0.0.1:{self.port}"

    def ask(self, method, path, body=None, **headers):
        """(status, headers, body) of one request on a connection of its own; names of headers with _ for -."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        try:
            connection.request(method, path, data, {name.replace("_", "-"): text for name, text in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def get(self, path):
        """The JSON of a good answer."""
        status, _, body = self.ask("GET", path)
        assert status == 200, body
        return json.loads(body)

    def infer(self, model, body, **headers):
        """(status, JSON) of a call without binary outputs."""
        status, _, answer = self.ask("POST", f"/v2/models/{model}/infer", body, **headers)
        return status, json.loads(answer)


def policy_input(count=1, value=0.5):
    """A body for `policy`."""
    return {"inputs": [{"name": "x", "datatype": "FP32", "shape": [count, 16], "data": [value] * 16 * count}]}


def x_of(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 16)).astype(np.float32)


@contextmanager
def served(limits=None, tls=None, of=None, **options):
    """The server in a thread, as a station's servers run it."""
    audited = []
    limits = limits or Limits(requests_per_second=1_000_000, batch=64)
    access = Access(limits=limits, audit=lambda *line: audited.append(line))
    slots = {name: rt_engine.ModelSlot(model) for name, model in (of or loaded()).items()}
    server = HttpServer(Models(slots), HttpOptions(Place(port=0, **(tls or {})), "press", **options), access)
    with running(server):
        yield Served(server, slots, audited)
