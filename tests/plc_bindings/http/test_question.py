"""Bodies, good and bad, without a socket."""

import asyncio
import json
import random
import struct
from functools import cache

import numpy as np
import pytest

import rt_engine
from plc_bindings.http import question
from plc_bindings.http.ends import Ends
from plc_bindings.http.errors import Refusal
from plc_bindings.http.json_values import exact
from plc_bindings.http.question import Reader
from tests.plc_bindings.http.plant import kinds, loaded, policy_input


@cache
def ends(model):
    return Ends.of(rt_engine.load(kinds(("FP16",))) if model == "half" else loaded()[model])


def ask(body, model="policy", header=None, most=64):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return asyncio.run(Reader(ends(model), most).asked(data, header))


def tensor(**other):
    return {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 16], "data": [0.5] * 16} | other]}


HALF = struct.pack("<16f", *[0.5] * 16)


def test_flat_and_nested_arrays_are_the_same():
    nested = tensor(shape=[2, 16], data=[[0.5] * 16, [0.5] * 16])
    assert bytes(ask(policy_input(2)).inputs[0]) == bytes(ask(nested).inputs[0]) == HALF * 2


def test_null_and_nan_are_nan():
    found = ask(b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,16],"data":[null,NaN%s]}]}' % (b",1e0" * 14))
    values = np.frombuffer(found.inputs[0], np.float32)
    assert np.isnan(values[:2]).all() and (values[2:] == 1).all()


def test_the_places_of_a_batch():
    """A model whose tensors do not begin with 1 takes its shape alone, or with the batch in front."""
    for shape, wanted in (([2], (1, False)), ([1, 2], (1, True)), ([5, 2], (5, True))):
        found = ask(tensor(shape=shape, data=[0] * 2 * wanted[0]), "sum")
        assert (found.count, found.has_batch) == wanted
    assert (ask(policy_input()).count, ask(policy_input()).has_batch) == (1, True)


def test_half_floats_travel_too():
    found = ask({"inputs": [{"name": "in_FP16", "datatype": "FP16", "shape": [3], "data": [1, -0.5, 65504]}]}, "half")
    assert bytes(found.inputs[0]) == np.array([1, -0.5, 65504], np.float16).tobytes()
    with pytest.raises(Refusal, match="beyond FP16"):
        ask({"inputs": [{"name": "in_FP16", "datatype": "FP16", "shape": [3], "data": [1, 1e5, 0]}]}, "half")


def test_binary_tensors_lie_behind_the_json():
    head = json.dumps(tensor(parameters={"binary_data_size": 64}) | {"outputs": [{"name": "y"}]}).encode()
    found = ask(head + HALF, header=str(len(head)))
    assert bytes(found.inputs[0]) == HALF and found.outputs == [(0, False)]


def test_a_body_without_json_is_the_only_input():
    found = ask(HALF * 3, header="0")
    assert (found.count, found.outputs) == (3, ((0, True),))
    for model, data in (("policy", HALF + b"."), ("kinds", HALF), ("names", HALF), ("policy", b"")):
        with pytest.raises(Refusal, match="expected"):
            ask(data, model, header="0")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "is no JSON"),
        (b"\xff{}", "not UTF-8"),
        (b"[" * 30_000, "too deeply"),
        ([], "the body: expected an object"),
        ({}, "inputs: expected an array of tensors, got None"),
        ({"inputs": [3]}, "inputs[0]: expected an object"),
        ({"inputs": []}, "expected 'x' too"),
        (tensor(name="z"), 'inputs[0].name: expected each of the model\'s inputs once ("x")'),
        ({"inputs": tensor()["inputs"] * 2}, "inputs[1].name"),
        (tensor(datatype="FP64"), "expected FP32 of input \"x\", got 'FP64'"),
        (tensor(datatype=["FP32"]), "inputs[0].datatype"),
        (tensor(shape=None), "inputs[0].shape: expected [-1, 16]"),
        (tensor(shape=[16]), "inputs[0].shape"),
        (tensor(shape=[0, 16], data=[]), "inputs[0].shape"),
        (tensor(shape=[True, 16]), "inputs[0].shape"),
        (tensor(shape=[-1, 16]), "inputs[0].shape"),
        (tensor(shape=[10**30, 16]), "expected at most 64"),
        (tensor(shape=[65, 16]), "a batch of 65"),
        (tensor(data=None), "inputs[0].data: expected an array"),
        (tensor(data=[0.5] * 15), "16 elements, got 15"),
        (tensor(data=[[0.5] * 8] * 2), "arrays of the shape [1, 16]"),
        (tensor(data=[[0.5] * 15 + [[1]]]), "expected numbers for FP32"),
        (tensor(data=["1"] * 16), "expected numbers for FP32, got '1'"),
        (tensor(data=[True] * 16), "expected numbers for FP32, got True"),
        (tensor(data=[1e300] + [0] * 15), "beyond FP32: 1e+300"),
        (
            b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,16],"data":[%s1e999]}]}' % (b"0.5," * 15),
            "beyond FP32: inf",
        ),
        (
            b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,16],"data":[%s-1e999]}]}' % (b"0.5," * 15),
            "beyond FP32: -inf",
        ),
        (tensor(data=[10**400] + [0] * 15), "beyond FP32"),
        (tensor(parameters=3), "parameters: expected an object"),
        (tensor(parameters={"binary_data_size": 64}), "binary_data_size: expected at most 0 bytes"),
        (tensor(data=None, parameters={"shared_memory_region": "x"}), "shared memory"),
        (tensor() | {"id": 7}, "id: expected a string"),
        (tensor() | {"outputs": 3}, "outputs: expected an array"),
        (tensor() | {"outputs": [{"name": "z"}]}, 'outputs at most once ("y")'),
        (tensor() | {"outputs": [{"name": "y"}, {"name": "y"}]}, "outputs[1].name"),
        (tensor() | {"outputs": [{"name": "y", "parameters": {"classification": 1}}]}, "classification"),
        (tensor() | {"outputs": [{"name": "y", "parameters": {"binary_data": 1}}]}, "expected true or false"),
        (tensor() | {"parameters": {"sequence_id": [1]}}, "sequence_id"),
        (tensor() | {"parameters": {"sequence_id": 1, "sequence_start": "yes"}}, "sequence_start"),
    ],
)
def test_what_is_wrong_is_said(body, words):
    with pytest.raises(Refusal) as refused:
        ask(body)
    assert words in str(refused.value), str(refused.value)
    assert refused.value.status in (400, 413)


@pytest.mark.parametrize("where", [b"%b", b'{"inputs":%b}', b'{"inputs":[{"name":"x","datatype":"FP32","shape":%b}]}'])
def test_what_is_nested_is_refused_however_deep_it_is(where):
    """orjson reads 1,024 levels; Python shows fewer than that."""
    for depth in range(900, 1100, 5):
        with pytest.raises(Refusal):
            ask(where % (b"[" * depth + b"]" * depth))


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("INT8", [128, 0, 0]),
        ("UINT8", [-1, 0, 0]),
        ("INT64", [2**63, 0, 0]),
        ("INT32", [1.0, 0, 0]),
        ("BOOL", [1, 0, 0]),
    ],
)
def test_a_number_that_does_not_fit_is_never_another(kind, data):
    body = {"inputs": [{"name": f"in_{kind}", "datatype": kind, "shape": [3], "data": data}]}
    with pytest.raises(Refusal, match=r"expected|beyond"):
        asyncio.run(Reader(Ends.of(rt_engine.load(kinds((kind,)))), 8).asked(json.dumps(body).encode(), None))


@pytest.mark.parametrize("raw", [b"\2\0\0", b"\1\1", b"\1\1\1\1"])
def test_a_binary_bool_is_0_or_1(raw):
    body = {
        "inputs": [{"name": "in_BOOL", "datatype": "BOOL", "shape": [3], "parameters": {"binary_data_size": len(raw)}}]
    }
    head = json.dumps(body).encode()
    with pytest.raises(Refusal, match="expected"):
        asyncio.run(Reader(Ends.of(rt_engine.load(kinds(("BOOL",)))), 8).asked(head + raw, str(len(head))))


@pytest.mark.parametrize(
    "raw", [b"", b"\3\0\0\0red", b"\3\0\0\0red\4\0\0\0blu", b"\3\0\0\0red\3\0\0\0redx", b"\xff" * 8]
)
def test_texts_stand_behind_their_lengths(raw):
    body = {
        "inputs": [
            {"name": "colour", "datatype": "BYTES", "shape": [1, 2], "parameters": {"binary_data_size": len(raw)}}
        ]
    }
    head = json.dumps(body).encode()
    with pytest.raises(Refusal, match="expected"):
        ask(head + raw, "names", str(len(head)))


@pytest.fixture
def texts(monkeypatch):
    """All JSON that is read as a whole."""
    read, found = question.read, []
    monkeypatch.setattr(question, "read", lambda text, load: found.append(text) or read(text, load))
    return found


def test_json_that_came_before_is_not_read_again(texts):
    """The tensors behind it are; what has an id is read each time; and what is remembered is bounded."""
    reader = Reader(ends("policy"), 64)

    def call(body, tensors=HALF):
        head = json.dumps(body).encode()
        return bytes(asyncio.run(reader.asked(head + tensors, str(len(head)))).inputs[0])

    binary = tensor(parameters={"binary_data_size": 64})
    assert [call(binary), call(binary, HALF[::-1])] == [HALF, HALF[::-1]] and len(texts) == 1
    with pytest.raises(Refusal, match="binary_data_size"):
        call(binary, HALF[1:])
    for body, tensors in ((binary | {"id": "a"}, HALF), (tensor() | {"id": "a"}, b"")):
        texts.clear()
        assert call(body, tensors) == call(body, tensors) == HALF and len(texts) == 2
    for number in range(100):
        call(binary | {"a": number})
        call(tensor() | {"a": number}, b"")
    assert max(len(reader._heads), len(reader._frames)) <= question.MOST_HEADS
    long = "." * question.MOST_REMEMBERED
    known = len(reader._heads), len(reader._frames)
    call(binary | {"a": long})
    call(tensor() | {"a": long}, b"")
    assert (len(reader._heads), len(reader._frames)) == known


def test_of_json_that_came_before_the_numbers_alone_are_read(texts):
    """Flat or nested, many or few; what is no array of numbers there is refused as ever."""
    reader = Reader(ends("policy"), 64)

    def call(body):
        return bytes(
            asyncio.run(reader.asked(body if isinstance(body, bytes) else json.dumps(body).encode(), None)).inputs[0]
        )

    behind = {"outputs": [{"name": "y"}], "parameters": {"binary_data_output": True}}
    for shape in ([1, 16], [2, 16]):
        assert call(tensor(shape=shape, data=[0.5] * 16 * shape[0]) | behind) == HALF * shape[0]
    texts.clear()
    for values in ([1] * 16, [[2.5] * 16], [None] * 16):
        expected = np.array(values, float).astype(np.float32).reshape(-1)
        assert np.array_equal(np.frombuffer(call(tensor(data=values) | behind), np.float32), expected, equal_nan=True)
    assert texts == []
    with pytest.raises(Refusal, match="16 elements, got 15"):
        call(tensor(data=[0.5] * 15) | behind)
    assert texts == []
    spoiled = json.dumps(tensor() | behind).encode().replace(b"0.5]", b'0.5], "data": [1]')
    with pytest.raises(Refusal, match="16 elements, got 1"):
        call(spoiled)


@pytest.mark.parametrize(
    "more", [b',"data":[1]', b',"d\\u0061ta":[1]', b',"a":{"data":[0.5]}', b',"b":"[1]"', b',"parameters":{"data":[0]}']
)
@pytest.mark.parametrize("name", ["x", "data"])
def test_numbers_are_taken_from_the_place_where_json_has_them(more, name):
    """Another entry of that name, before or behind, does not lead astray: all that comes twice is answered twice alike."""
    data = b'"data":[%s]' % b",".join(b"%d" % n for n in range(16))
    for text in (data + more, more[1:] + b"," + data):
        body = b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,16],%s}]}' % text
        reader = Reader(ends("policy"), 64)
        assert len({outcome(reader, body.replace(b'"x"', b'"%s"' % name.encode())) for _ in range(2)}) == 1
        assert outcome(reader, body) == outcome(None, body)


def outcome(reader, body, header=None):
    """What becomes of a body; without a reader: by Python's own JSON, for the first time."""
    if reader is None:
        return asyncio.run(_exactly(body, header))
    return asyncio.run(_told(reader.asked(body, header)))


async def _exactly(body, header):
    try:
        text, tensors = question._halves(body, header)
        if not text and header is not None:
            return await _told(Reader(ends("policy"), 64).asked(body, header))
    except Refusal as error:
        return error.status, str(error)
    return await _told(Reader(ends("policy"), 64)._question(text, tensors, exact))


async def _told(asked):
    try:
        found = await asked
    except Refusal as error:
        return error.status, str(error)
    return found.id, found.count, found.has_batch, *map(bytes, found.inputs), tuple(found.outputs), found.sequence


@pytest.mark.parametrize("header", ["x", "-1", "1e3", "999999999999999999", "99", " 1", "\u0663"])
def test_a_header_that_names_no_bytes_of_the_body(header):
    with pytest.raises(Refusal, match="Inference-Header-Content-Length: expected 0 to"):
        ask(b"{}", header=header)


# --- anything ---------------------------------------------------------------------------------------------------------

_ODD = [None, True, -1, 0, 2**70, 1e999, "", "x", [], {}, [[]], [None], {"a": 1}, "\u0000", "FP32", "BYTES", -0.5]


def spoiled(value, dice):
    """`value` with something else somewhere in it."""
    if dice.random() < 0.25:
        return dice.choice(_ODD)
    if isinstance(value, dict) and value:
        key = dice.choice(list(value))
        return value | {key: spoiled(value[key], dice)}
    if isinstance(value, list) and value:
        at = dice.randrange(len(value))
        return [*value[:at], spoiled(value[at], dice), *value[at + 1 :]]
    return dice.choice(_ODD)


def fuzzed(seed):
    """(body, header) of some bytes that are nearly a request."""
    dice = random.Random(seed)
    whole = policy_input(dice.choice((1, 2))) | {
        "id": "a",
        "outputs": [{"name": "y", "parameters": {"binary_data": True}}],
        "parameters": {"sequence_id": 4, "sequence_start": True},
    }
    if dice.random() < 0.4:
        whole["inputs"][0]["parameters"] = {"binary_data_size": dice.choice((64, 128, 0, 63))}
    for _ in range(dice.randrange(3)):
        whole = spoiled(whole, dice)
    if dice.random() < 0.5 and isinstance(whole, dict):
        whole.pop("id", None)
    body = bytearray(json.dumps(whole).encode())
    if dice.random() < 0.3:
        for _ in range(dice.randrange(1, 6)):
            body[dice.randrange(len(body))] = dice.randrange(256)
    header = dice.choice((None, None, str(len(body)), str(dice.randrange(len(body) + 9)), "0", "-1"))
    return bytes(body) + HALF * dice.randrange(3), header


@pytest.mark.parametrize("seeds", [range(3000)])
def test_any_bytes_are_a_call_or_a_refusal(seeds):
    """The same as with Python's own JSON, whatever came before."""

    async def all_of_them():
        reader = Reader(ends("policy"), 64)
        calls, refusals = 0, []
        for seed in seeds:
            body, header = fuzzed(seed)
            told = await _told(reader.asked(body, header))
            assert repr(told) == repr(await _exactly(body, header)), body
            if len(told) == 2:
                refusals.append(told)
            else:
                assert len(told[3]) == 64 * told[1]
                calls += 1
        return calls, refusals

    calls, refusals = asyncio.run(all_of_them())
    assert min(calls, len(refusals)) > len(seeds) // 50
    assert {status for status, _ in refusals} <= {400, 413} and max(len(words) for _, words in refusals) < 500
