"""Paths, people, limits and answers of a running server."""

import gzip
import http.client
import json
import socket
import ssl
import threading
import time

import numpy as np
import pytest

import rt_engine
from benchmarks.models import mlp
from plc_bindings.http import page as pages
from plc_bindings.http.runs import _Batch
from plc_bindings.security.access import Limits
from plc_bindings.security.tokens import hashed
from plc_bindings.web.door import HEADERS_OF_ALL
from tests.plc_bindings.http.plant import loaded, policy_input, served, x_of
from tests.plc_bindings.modbus.test_tls import Authority
from tests.waiting import wait_for


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/v2/nothing", 404, "there is no '/v2/nothing' here"),
        ("GET", "/v2/models/policy/versions/7", 404, "has version 1 now, not '7'"),
        ("POST", "/v2/models/policy/versions/7/infer", 404, "has version 1 now, not '7'"),
        ("GET", "/v2/models/policy/infer", 405, "expected POST"),
        ("DELETE", "/v2/models/policy", 405, "expected GET"),
        ("POST", "/v2/health/live", 405, "expected GET, got POST"),
        ("POST", "/v2/models/policy/generate", 404, "has no 'generate'"),
        ("GET", "/v2/models/%2e%2e%2fetc", 404, "there is"),
        ("GET", "/v2/models/a%0ab", 404, "a\\nb"),
    ],
)
def test_what_is_not_there_is_said(station, method, path, status, words):
    found, headers, body = station.ask(method, path)
    assert (found, headers["Content-Type"]) == (status, "application/json")
    assert words in json.loads(body)["error"]


@pytest.mark.parametrize(
    "path", ["/v2", "/v2/", "/v2/health/live", "/v2/health/ready", "/v2/models/policy/versions/1/ready"]
)
def test_what_is_there_is_answered(station, path):
    assert station.get(path)


def test_an_answer_names_the_version_that_computed():
    """An update comes between two calls, and while batches are under way."""
    second = rt_engine.load(mlp((16, 64, 64, 4), "Tanh"))
    expected = {"1": loaded()["policy"], "2": second}
    with served(of={"policy": loaded()["policy"]}) as station:
        x, answers = x_of(48), []

        def ask():
            while sum(answer["model_version"] == "2" for answer in answers) < 30:
                body = {
                    "inputs": [{"name": "x", "datatype": "FP32", "shape": [48, 16], "data": x.reshape(-1).tolist()}]
                }
                answers.append(station.infer("policy", body)[1])

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(answers) >= 20)
        station.slots["policy"].update(second)
        for thread in threads:
            thread.join()
        assert {answer["model_version"] for answer in answers} == {"1", "2"}
        rows = {
            version: np.concatenate([model.run({"x": row[None]})[0] for row in x])
            for version, model in expected.items()
        }
        for answer in answers:
            found = np.array(answer["outputs"][0]["data"], np.float32).reshape(48, 4)
            assert found.tobytes() == rows[answer["model_version"]].tobytes()
        assert station.get("/v2/models/policy")["versions"] == ["2"]


def test_what_is_not_finite_is_null_with_a_status(station):
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [0.0, 1.0]}]}
    status, answer = station.infer("odd", body)
    assert (status, answer["parameters"], answer["outputs"][0]["data"]) == (200, {"status": 106}, [None, 0.0])


def test_long_arrays_go_both_ways_in_pieces(station):
    body = policy_input(64)
    body["inputs"][0]["data"] = (x_of(64) * 1e-3).reshape(-1).astype(float).tolist()
    text = json.dumps(body).replace(", ", "," + " " * 40)
    status, answer = station.infer("policy", text.encode())
    rows = np.concatenate([loaded()["policy"].run({"x": row[None]})[0] for row in np.float32(x_of(64) * 1e-3)])
    assert status == 200 and len(text) > 40_000
    assert np.float32(answer["outputs"][0]["data"]).tobytes() == rows.tobytes()


# --- who may ask ------------------------------------------------------------------------------------------------------


def test_a_token_is_wanted_where_there_are_tokens():
    with served(tokens={"anna": hashed("rt_anna")}) as station:
        for headers in ({}, {"Authorization": "Bearer rt_bert"}, {"Authorization": "rt_anna"}):
            assert station.ask("GET", "/v2/health/live", **headers)[0] == 401
        assert station.infer("policy", policy_input(), Authorization="Bearer rt_anna")[0] == 200
        assert [outcome for *_, outcome in station.audited] == ["refused: no token, or a wrong one"] * 3


def test_another_site_and_another_name_may_not_ask(station):
    assert station.ask("GET", "/v2", Origin="http://evil.example")[0] == 403
    assert station.ask("GET", "/v2", Host="evil.example")[0] == 403


def test_only_the_models_of_the_station_file_are_there():
    with served(of={name: loaded()[name] for name in ("policy", "sum")}, models=("pol*",)) as station:
        assert station.ask("GET", "/v2/models/sum")[0] == station.infer("sum", {})[0] == 404
        assert [one["name"] for one in json.loads(station.ask("POST", "/v2/repository/index")[2])] == ["policy"]


def test_with_certificates_it_speaks_tls_and_wants_one(tmp_path):
    authority = Authority(tmp_path)
    certificate, key, _ = authority.issue("models")
    context = ssl.create_default_context(cafile=authority.file)
    context.check_hostname = False

    def ask(port):
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10)
        try:
            connection.request("POST", "/v2/models/policy/infer", json.dumps(policy_input()))
            return connection.getresponse().status
        finally:
            connection.close()

    with served(tls={"certificate": str(certificate), "key": str(key), "ca": str(authority.file)}) as station:
        (tmp_path / "strangers").mkdir()
        for client in (None, authority.issue("late", days=(-3, -2)), Authority(tmp_path / "strangers").issue("panel")):
            if client is not None:
                context.load_cert_chain(*client[:2])
            with pytest.raises((OSError, http.client.HTTPException)):
                ask(station.port)
        context.load_cert_chain(*authority.issue("panel")[:2])
        assert ask(station.port) == 200
        wait_for(lambda: len(station.audited) == 3)  # the client hears of it first
        whys = ("the client showed no certificate", "the client's certificate has expired", "of another authority")
        assert len(station.audited) == len(whys)
        assert all(why in outcome for why, (*_, outcome) in zip(whys, station.audited, strict=True))


# --- limits -----------------------------------------------------------------------------------------------------------


def test_too_many_requests_are_refused_and_audited():
    with served(limits=Limits(requests_per_second=3)) as station:
        connection = http.client.HTTPConnection("127.0.0.1", station.port, timeout=10)
        found = []
        while 429 not in found and len(found) < 200:  # on a slow machine the second may be over before the fourth comes
            connection.request("GET", "/v2")
            answer = connection.getresponse()
            answer.read()
            found.append(answer.status)
        assert found == [200] * (len(found) - 1) + [429] and len(found) > 3
        assert station.audited == [("127.0.0.1", "request", "refused: too many requests")]
        connection.close()


@pytest.mark.parametrize("coding", [None, "gzip"])
def test_a_body_that_is_too_long_is_refused(coding):
    """Also one that is so only when it is unpacked."""
    text = json.dumps(policy_input() | {"id": "x" * 20_000}).encode()
    with served(body_bytes=10_000) as station:
        sent, headers = (gzip.compress(text), {"Content_Encoding": "gzip"}) if coding else (text, {})
        status, answer = station.infer("policy", sent, **headers)
        assert status == 413 and "body_bytes" in answer["error"]
        assert station.audited[-1][2] == "refused: body too long"


@pytest.mark.parametrize("sent", [b"no gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\3", b""])
def test_what_is_no_gzip_is_refused(station, sent):
    status, answer = station.infer("policy", sent, Content_Encoding="gzip")
    assert status == 400 and answer["error"]
    assert station.infer("policy", b"{}", Content_Encoding="br")[0] == 415


def test_a_body_that_does_not_come_ends_the_connection():
    """And nobody else waits for it."""
    with served(body_s=0.3) as station, socket.create_connection(("127.0.0.1", station.port), timeout=20) as slow:
        slow.sendall(b"POST /v2/models/policy/infer HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5000\r\n\r\n{")
        assert station.infer("policy", policy_input())[0] == 200
        answer = b""
        while part := slow.recv(4096):
            answer += part
        assert b"408" in answer and b"1 bytes came" in answer
        assert ("127.0.0.1", "POST /v2/models/policy/infer", "refused: its body comes too slowly") in station.audited


def test_large_bodies_at_once_are_few():
    """Of one address half of them, so that another one has room however slowly the first one sends; and all is given back."""
    bodies = []

    def begin(address):
        one = socket.create_connection(("127.0.0.1", found.port), timeout=20, source_address=(address, 0))
        head = b"POST /v2/models/policy/infer HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 20000\r\n\r\n"
        one.sendall(head + b"{" * 19_000)
        bodies.append(one)
        return one

    def refused(address):
        one, answer = begin(address), b""
        while b"}" not in answer and (part := one.recv(4096)):
            answer += part
        return answer

    def hold(address):
        before = found.server.bodies.held.total()
        begin(address)
        wait_for(lambda: found.server.bodies.held.total() > before)

    with served(body_bytes=20_000, body_s=60) as found:
        for address in ("127.0.0.1", "127.0.0.2"):
            hold(address), hold(address)
            assert b"503" in (answer := refused(address)) and b"of yours" in answer
        assert b"503" in (answer := refused("127.0.0.3")) and b"of yours" not in answer
        for one in bodies:
            one.close()
        wait_for(lambda: not found.server.bodies.held)


def test_who_promises_much_and_sends_nothing_is_in_nobodys_way():
    with served(body_bytes=20_000, body_s=60) as found:
        head = b"POST /v2/models/policy/infer HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        idle = [socket.create_connection(("127.0.0.1", found.port), timeout=20) for _ in range(8)]
        for one in idle:
            one.sendall(head)
        time.sleep(0.05)
        body = json.dumps(policy_input()).encode()
        with socket.create_connection(("127.0.0.1", found.port), timeout=20) as other:
            other.sendall(
                b"POST /v2/models/policy/infer HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n" % len(body)
            )
            time.sleep(0.05)
            other.sendall(body)
            assert other.recv(4096).startswith(b"HTTP/1.1 200")
        for one in idle:
            one.close()


def test_a_body_that_waits_to_be_asked_for_is_asked_for():
    """`curl` sends a large one only then, or a second later."""
    with served() as found, socket.create_connection(("127.0.0.1", found.port), timeout=20) as one:
        body = json.dumps(policy_input()).encode()
        head = f"POST /v2/models/policy/infer HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n"
        one.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert one.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        one.sendall(body)
        assert one.recv(4096).startswith(b"HTTP/1.1 200")


def test_nothing_is_computed_for_who_has_gone(monkeypatch):
    """Calls without end whose clients left: neither their bodies stay, nor do other models wait for a thread."""
    work = _Batch.work

    def endless(batch, seconds):
        if batch._count == 1:
            return work(batch, seconds)
        time.sleep(seconds)
        return True

    monkeypatch.setattr(_Batch, "work", endless)
    policy = loaded()["policy"]
    limits = Limits(requests_per_second=1_000_000, batch=16384)
    with served(limits, of={"slow": policy, "policy": policy}) as found:
        said = {"binary_data_size": 16384 * 64}
        head = json.dumps(
            {"inputs": [{"name": "x", "datatype": "FP32", "shape": [16384, 16], "parameters": said}]}
        ).encode()
        body = head + bytes(16384 * 64)
        lines = (
            f"Host: 127.0.0.1\r\nInference-Header-Content-Length: {len(head)}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        gone = []
        for _ in range(6):
            gone.append(socket.create_connection(("127.0.0.1", found.port), timeout=20))
            gone[-1].sendall(b"POST /v2/models/slow/infer HTTP/1.1\r\n" + lines.encode() + body)
        assert found.infer("policy", policy_input())[0] == 200  # its first call makes a context, in a thread
        for one in gone:
            one.close()
        wait_for(lambda: found.server.models["slow"].counts.failed == 6)
        assert found.server.models["slow"].counts.good == 0
        wait_for(lambda: not found.server.bodies.held)


# --- for people and their tools ---------------------------------------------------------------------------------------


def test_the_document_names_every_path_and_model(station):
    told = station.get("/openapi.json")
    assert told["openapi"] == "3.1.0"
    assert told["paths"]["/v2/models/{model}/infer"]["parameters"][0]["schema"]["enum"] == list(loaded())
    for path, methods in told["paths"].items():
        whole = path.replace("{model}", "policy").replace("{version}", "1")
        for method in set(methods) & {"get", "post"}:
            assert station.ask(method.upper(), whole, b"{}" if method == "post" else None)[0] in (200, 400), path


def test_the_page_has_no_script_and_its_requests_can_be_sent(station):
    status, headers, body = station.ask("GET", "/")
    assert status == 200 and b"<script" not in body and b"policy" in body
    assert headers["Content-Security-Policy"] == HEADERS_OF_ALL["Content-Security-Policy"]
    assert station.ask("GET", "/page.css")[1]["Content-Type"].startswith("text/css")
    for name in ("policy", "names", "kinds", "sum"):
        assert station.infer(name, pages.example(station.server.models[name]))[0] == 200
