"""Clients that we did not write: `tritonclient.http` and its twin on asyncio, as they are."""

import asyncio

import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

from tests.plc_bindings.http.plant import COLOURS, KINDS, loaded, x_of


@pytest.fixture
def client(station):
    with triton.InferenceServerClient(station.url) as found:
        yield found


def tensor(name, array, datatype, binary=True):
    found = triton.InferInput(name, list(array.shape), datatype)
    found.set_data_from_numpy(array, binary_data=binary)
    return found


def one_by_one(x):
    return np.concatenate([loaded()["policy"].run({"x": row[None]})[0] for row in x])


def test_it_asks_how_the_server_and_its_models_are(client):
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("policy") and client.is_model_ready("policy", "1")
    assert not client.is_model_ready("policy", "7") and not client.is_model_ready("nothing")
    assert client.get_server_metadata()["name"] == "rt-engine"
    assert {one["name"]: one["state"] for one in client.get_model_repository_index()} == dict.fromkeys(
        loaded(), "READY"
    )


def test_it_reads_metadata_and_configuration(client):
    told = client.get_model_metadata("policy")
    assert told["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 16]}]
    assert told["outputs"] == [{"name": "y", "datatype": "FP32", "shape": [-1, 4]}]
    assert client.get_model_metadata("names", "1")["inputs"][0]["datatype"] == "BYTES"
    assert client.get_model_config("policy")["max_batch_size"] == 64
    assert "sequence_batching" in client.get_model_config("sum")


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
@pytest.mark.parametrize("count", [1, 5, 64])
def test_a_batch_is_as_many_runs_bit_for_bit(client, binary_in, binary_out, count):
    x = x_of(count)
    outputs = [triton.InferRequestedOutput("y", binary_data=binary_out)]
    found = client.infer("policy", [tensor("x", x, "FP32", binary_in)], outputs=outputs, request_id="seven")
    assert found.get_response()["model_version"] == "1" and found.get_response()["id"] == "seven"
    assert found.as_numpy("y").tobytes() == one_by_one(x).tobytes()


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_both_directions_may_be_compressed(client, algorithm):
    x = x_of(64)
    found = client.infer(
        "policy",
        [tensor("x", x, "FP32")],
        request_compression_algorithm=algorithm,
        response_compression_algorithm=algorithm,
    )
    assert found.as_numpy("y").tobytes() == one_by_one(x).tobytes()


def extremes(name):
    dtype = np.dtype(triton_to_np_dtype(name))
    if name == "BOOL":
        return np.array([True, False, True])
    low_high = np.iinfo(dtype) if dtype.kind in "iu" else np.finfo(dtype)
    return np.array([low_high.min, low_high.max, 1], dtype)


@pytest.mark.parametrize("binary", [True, False])
def test_every_datatype_comes_back_as_it_went(client, binary):
    inputs = [tensor(f"in_{name}", extremes(name), name, binary) for name in KINDS]
    outputs = [triton.InferRequestedOutput(f"out_{name}", binary_data=binary) for name in KINDS]
    found = client.infer("kinds", inputs, outputs=outputs)
    for name in KINDS:
        assert found.as_numpy(f"out_{name}").tobytes() == extremes(name).tobytes(), name


@pytest.mark.parametrize("binary", [True, False])
def test_texts_are_names_and_one_that_nobody_knows_is_what_the_model_makes_of_it(client, binary):
    colours = np.array([["red", "blue"], ["violet", "green"]], dtype=object)
    outputs = [triton.InferRequestedOutput("again", binary_data=binary)]
    found = client.infer("names", [tensor("colour", colours, "BYTES", binary)], outputs=outputs).as_numpy("again")
    texts = [one.decode() if isinstance(one, bytes) else one for one in found.reshape(-1)]
    assert texts == ["red", "blue", COLOURS[1], "green"]


def test_a_sequence_has_a_state(client):
    def step(**sequence):
        return client.infer("sum", [tensor("x", np.array([1, 2], np.float32), "FP32")], **sequence).as_numpy("total")

    found = [step(sequence_id=5, sequence_start=start)[1] for start in (True, False, False)]
    assert found == [2, 4, 6]
    assert step()[1] == 2, "without a sequence it begins anew"
    assert step(sequence_id=5, sequence_end=True)[1] == 8
    with pytest.raises(InferenceServerException, match="begin with sequence_start"):
        step(sequence_id=5)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda client: client.load_model("policy"), "rt-engine update"),
        (lambda client: client.unload_model("policy"), "rt-engine update"),
        (lambda client: client.get_trace_settings(), "there is no"),
        (lambda client: client.get_system_shared_memory_status(), "there is no"),
        (lambda client: client.get_model_metadata("nothing"), "'policy'"),
    ],
)
def test_what_is_not_here_is_said(client, ask, words):
    with pytest.raises(InferenceServerException, match=words):
        ask(client)


def test_classification_is_refused_in_words(client):
    outputs = [triton.InferRequestedOutput("y", class_count=2)]
    with pytest.raises(InferenceServerException, match="sort them yourself"):
        client.infer("policy", [tensor("x", x_of(1), "FP32")], outputs=outputs)


def test_calls_are_counted(station, client):
    def counted():
        return client.get_inference_statistics("policy")["model_stats"][0]

    before = counted()
    client.infer("policy", [tensor("x", x_of(3), "FP32")])
    with pytest.raises(InferenceServerException):
        client.infer("policy", [tensor("z", x_of(3), "FP32")])
    after = counted()
    assert after["inference_count"] - before["inference_count"] == 3
    assert after["execution_count"] - before["execution_count"] == 1
    assert after["inference_stats"]["fail"]["count"] - before["inference_stats"]["fail"]["count"] == 1


def test_its_twin_on_asyncio_gets_the_same(station):
    x = x_of(7)

    async def ask():
        async with triton_aio.InferenceServerClient(station.url) as client:
            assert await client.is_model_ready("policy")
            inputs = triton_aio.InferInput("x", list(x.shape), "FP32")
            inputs.set_data_from_numpy(x)
            answers = await asyncio.gather(*(client.infer("policy", [inputs]) for _ in range(8)))
            return [answer.as_numpy("y") for answer in answers]

    assert all(found.tobytes() == one_by_one(x).tobytes() for found in asyncio.run(ask()))
