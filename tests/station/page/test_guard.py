"""What a page refuses, over real connections; that each refusal is audited, and tells nothing."""

import json
from types import SimpleNamespace

import pytest

from plc_bindings.security.access import Limits
from tests.station.page.fakes import ANNA, BERT, served

JSON = {"Content_Type": "application/json"}


def outcomes(page):
    return [outcome for _, _, outcome in page.audited]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:80", "localhost:8080", "LOCALHOST", "[::1]:80", "10.1.2.3"])
def test_an_address_and_localhost_are_its_names(page, host):
    """Also an address that is not its own: behind one there is no foreign name that leads here."""
    assert page.ask("/api/status", host=host)[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "[", "a b"])
def test_a_foreign_name_is_refused(page, host):
    """A name of somebody else that was made to lead here (DNS rebinding)."""
    status, _, body = page.ask("/api/status", host=host)
    assert status in (400, 403) and b"press" not in body
    assert outcomes(page)[0].startswith("refused")


def test_the_station_file_may_name_it():
    with served(names=("press.plant.example",)) as page:
        assert page.ask("/api/status", host="Press.Plant.example:8443")[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"},
    ],
)
@pytest.mark.parametrize(("path", "method"), [("/api/status", "GET"), ("/api/stream", "GET"), ("/login", "POST")])
def test_another_site_may_not_ask(page, headers, path, method):
    status, answer, _ = page.ask(path, method, body=b"" if method == "POST" else None, **headers)
    assert status == 403
    assert "Access-Control-Allow-Origin" not in answer
    assert outcomes(page) == ["refused: another site asks"]


def test_a_link_elsewhere_may_lead_to_the_page(page):
    assert page.ask("/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")[0] == 200


def test_its_own_page_may_ask(page):
    own = f"http://127.0.0.1:{page.port}"
    assert page.ask("/api/status", Origin=own, Sec_Fetch_Site="same-origin")[0] == 200


@pytest.mark.parametrize("token", [None, "", "rt_wrong", ANNA.upper(), ANNA + " x"])
def test_without_a_token_there_is_nothing(locked, token):
    """Nor is it told what there is: a path that exists and one that does not look the same."""
    answers = [locked.ask(path, token=token) for path in ("/api/status", "/nowhere", "/metrics", "/static/js/main.js")]
    assert {status for status, *_ in answers} == {401}
    assert len({body for *_, body in answers}) == 1
    assert answers[0][1]["WWW-Authenticate"].startswith("Bearer")
    assert set(outcomes(locked)) == {"refused: no token, or a wrong one"}


def test_with_a_token_there_is_everything(locked):
    assert locked.get("/api/session", token=BERT)["who"] == "bert"
    assert locked.get("/api/status", token=BERT)["station"] == "press"


def test_a_browser_that_wants_the_page_is_sent_to_the_log_in(locked):
    status, headers, _ = locked.ask("/")
    assert (status, headers["Location"]) == (303, "/login")
    assert locked.ask("/login")[0] == 200
    assert locked.audited == []


def test_the_files_that_the_log_in_needs_are_open(locked):
    from station.page.server import LOG_IN_FILES

    assert {locked.ask(path)[0] for path in LOG_IN_FILES} == {200}


def test_a_session_is_a_cookie_that_scripts_and_other_sites_do_not_get(locked):
    status, headers, _ = locked.ask("/login", "POST", {"token": ANNA})
    assert status == 204
    cookie = headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert ANNA not in cookie
    kept = cookie.partition(";")[0]
    assert locked.get("/api/session", Cookie=kept)["who"] == "anna"
    assert locked.ask("/logout", "POST", b"", Cookie=kept)[0] == 204
    assert locked.ask("/api/session", Cookie=kept)[0] == 401


def test_wrong_tokens_are_audited_and_then_not_looked_at(locked):
    answers = [locked.ask("/login", "POST", {"token": f"guess {n}"})[0] for n in range(12)]
    assert answers == [401] * 10 + [429] * 2
    assert locked.ask("/login", "POST", {"token": ANNA})[0] == 429
    assert locked.ask("/api/status", token=ANNA)[0] == 401
    assert outcomes(locked)[:10] == ["refused: wrong token"] * 10
    assert not any("guess" in text for line in locked.audited for text in line)


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"[" * 2000, b"\xff", b'{"token": 5}', b"{}"])
def test_a_log_in_that_is_none_is_refused(locked, body):
    assert locked.ask("/login", "POST", body, **JSON)[0] in (400, 401)


def test_a_body_that_is_too_long_is_refused(locked):
    assert locked.ask("/login", "POST", b"x" * 100_000, **JSON)[0] in (400, 413)


def test_who_is_named_may_do_what_is_named(locked):
    status, _, body = locked.ask("/api/command/reset-state", "POST", {"task": "axis"}, token=ANNA)
    assert (status, json.loads(body)) == (200, {"message": "done"})
    assert locked.source.said == [("reset-state", {"task": "axis"}, "anna (page, 127.0.0.1)")]


@pytest.mark.parametrize(
    ("name", "token", "status"),
    [("commit", ANNA, 403), ("reset-state", BERT, 403), ("stop", ANNA, 404), ("reset-state", None, 401)],
)
def test_nobody_else_may_do_anything_else(locked, name, token, status):
    assert locked.ask(f"/api/command/{name}", "POST", {"task": "axis"}, token=token)[0] == status
    assert locked.source.said == []


def test_without_names_nobody_may_do_anything(page):
    """Whoever may connect looks, and that is all."""
    assert page.get("/api/session")["commands"] == []
    assert page.ask("/api/command/record", "POST", {"why": "look"})[0] == 403
    assert "refused: nobody may not record" in outcomes(page)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_form_of_another_site_gives_no_command(locked, kind):
    """What a page elsewhere can send without asking first is no JSON."""
    assert locked.ask("/api/command/record", "POST", b"why=x", token=ANNA, Content_Type=kind)[0] == 400
    assert locked.source.said == []


def test_commands_are_not_given_by_looking(locked):
    assert locked.ask("/api/command/record", token=ANNA)[0] == 405


def test_who_asks_too_much_is_told_so_and_disconnected(monkeypatch):
    """In the same moment, however long that takes here."""
    monkeypatch.setattr("plc_bindings.security.access.time", SimpleNamespace(monotonic=lambda: 7.0))
    with served(limits=Limits(requests_per_second=5)) as page:
        import http.client

        connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=10)
        answers = []
        for _ in range(6):
            connection.request("GET", "/api/session")
            answer = connection.getresponse()
            answer.read()
            answers.append(answer.status)
        connection.close()
        assert answers == [200] * 5 + [429]
        assert answer.headers["Connection"] == "close"
        assert outcomes(page) == ["refused: too many requests"]


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/api/recordings", 500, "an error of ours"),
        ("/api/models/x/tensor", 422, "nobody can be asked now"),
        ("/api/models/x/graph", 404, 'unknown model "x"'),
        ("/api/tags?name=none", 404, 'no tag "none"'),
        ("/nowhere", 404, "not found"),
        ("/static/../server.py", 404, ""),
        ("/static/%2e%2e/server.py", 404, ""),
        ("/static/server.py", 404, "no such file"),
    ],
)
def test_what_goes_wrong_is_told_without_paths_and_traces(page, path, status, words):
    answered, _, body = page.ask(path)
    assert answered == status and words in json.loads(body)["error"]
    assert b"secret" not in body and b"Traceback" not in body and b"station/" not in body
    assert not any("secret" in text for line in page.audited for text in line)


@pytest.mark.parametrize("path", ["/", "/api/status", "/nowhere", "/metrics", "/static/page.css"])
def test_every_answer_wears_what_keeps_others_out(page, path):
    _, headers, _ = page.ask(path)
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "script-src 'self';" in policy and "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert (headers["X-Frame-Options"], headers["X-Content-Type-Options"]) == ("DENY", "nosniff")
    assert headers["Server"] == "rt-engine"
    keeps = headers["Cache-Control"]
    assert keeps == ("private, no-cache" if path in ("/", "/static/page.css") else "no-store")
