"""What the control socket answers of changes of models."""

from pathlib import Path

import pytest

from rt_engine.change import ChangeState
from station.change.answer import Updated, Wish
from station.change.machine import Span
from station.errors import RefusedError
from station.running.asking import request, request_allow, request_commit, request_rollback, request_update
from station.running.control import ControlServer

SHADOW = Updated("in shadow", 2, ChangeState.SHADOW)


class FakeChanges:
    """Remembers what it was asked; of slot `no` it refuses all."""

    def __init__(self):
        self.changes, self.asked = self, []

    def _said(self, slot, *said):
        if slot == "no":
            raise RefusedError("it is committed already")
        if slot == "none":
            raise KeyError('unknown model "none"')
        self.asked.append((slot, *said))
        return f"{slot} done"

    def update(self, files, who, wish):
        self._said(next(iter(files)), files, who, wish)
        return SHADOW

    def commit(self, slot, who):
        return self._said(slot, "commit", who)

    def roll_back(self, slot, who):
        return self._said(slot, "back", who)

    def allow(self, slot, sha256, who):
        return self._said(slot, sha256, who)


@pytest.fixture
def served(socket_folder):
    changes = FakeChanges()
    with ControlServer(changes, socket_folder / "s.sock"):
        yield changes, socket_folder / "s.sock"


def test_an_update_goes_with_its_wishes(served):
    changes, path = served
    wishes = {"shadow": "10 min", "trial": "none", "commit": "manual"}
    assert request_update(path, {"a b": Path("/x.onnx"), "c": Path("/y.onnx")}, wishes) == SHADOW
    ((_, files, who, wish),) = changes.asked
    assert (files, who) == ({"a b": Path("/x.onnx"), "c": Path("/y.onnx")}, "control socket")
    assert wish == Wish(Span(ns=600_000_000_000), Span(), "manual")


def test_a_signature_goes_with_its_only_file(served):
    changes, path = served
    request_update(path, {"a": Path("/x.onnx")}, {"signature": b"{}".hex()})
    assert changes.asked[0][3] == Wish(signature=b"{}")
    for files in ({"a": "/x", "b": "/y"}, {"a": "/x"}):
        with pytest.raises(RefusedError, match="expected"):
            request(path, "POST", "/update", {"files": files, "signature": "00" if len(files) > 1 else "no hex"}, 10.0)


def test_words_reach_their_slot(served):
    changes, path = served
    assert request_commit(path, "a/b") == "a/b done"
    assert request_rollback(path, "c") == "c done"
    assert request_allow(path, "c", "3f2a") == "c done"
    assert changes.asked == [
        ("a/b", "commit", "control socket"),
        ("c", "back", "control socket"),
        ("c", "3f2a", "control socket"),
    ]


@pytest.mark.parametrize(
    "ask",
    [
        lambda p, s: request_commit(p, s),
        lambda p, s: request_rollback(p, s),
        lambda p, s: request_allow(p, s, "00"),
        lambda p, s: request_update(p, {s: Path("/x.onnx")}),
    ],
    ids=["commit", "rollback", "allow", "update"],
)
def test_a_refusal_and_an_unknown_slot_are_told(served, ask):
    with pytest.raises(RefusedError, match="it is committed already"):
        ask(served[1], "no")
    with pytest.raises(RefusedError, match='unknown model "none"'):
        ask(served[1], "none")


@pytest.mark.parametrize(
    ("url", "body", "why"),
    [
        ("/update", {"files": {}}, "expected"),
        ("/update", {"files": ["x"]}, "expected"),
        ("/update", {"files": {"a": "x.onnx"}}, "x.onnx must be an absolute path"),
        ("/update/a", {"file": "/x", "shadow": "soon"}, '"soon" is no such time'),
        ("/update/a", {"file": "/x", "trial": "0 cycles"}, "at least one cycle"),
        ("/update/a", {"file": "/x", "commit": "later"}, "commit is auto or manual"),
        ("/allow/a", {}, "expected"),
    ],
)
def test_what_is_not_understood_is_told(served, url, body, why):
    with pytest.raises(RefusedError, match=why):
        request(served[1], "POST", url, body, 10.0)
