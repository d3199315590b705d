"""Documents: what is signed is read, nothing else; whatever comes is taken or refused in words."""

import contextlib
import random

import pytest

from station.fleet.documents import Desired, Health, Online, Present, Reported, Slot, Word
from station.fleet.known import Fleet
from station.fleet.rollout import Plan
from station.fleet.sealed import ForgedError, opened, public_of, seal
from tests.station.fleet.world import COMMANDER, OTHER, TOPICS, Box, order, own_key, wanted

KEYS = (public_of(COMMANDER),)


def test_a_document_is_of_one_kind_for_one_name():
    data = seal(COMMANDER, "desired", "press", b"{}")
    assert opened(data, "desired", "press", KEYS) == (b"{}", KEYS[0])
    for kind, name, keys in (
        ("desired", "lathe", KEYS),
        ("reported", "press", KEYS),
        ("desired", "press", (public_of(OTHER),)),
        ("desired", "press", ()),
    ):
        with pytest.raises(ForgedError):
            opened(data, kind, name, keys)


def test_every_bit_of_a_document_counts():
    data = order("press", 7, {"policy": wanted("new")})
    rng = random.Random(3)
    for _ in range(300):
        bad = bytearray(data)
        at = rng.randrange(len(bad))
        bad[at] ^= 1 << rng.randrange(8)
        with pytest.raises(ForgedError):
            Desired.unsealed(bytes(bad), "press", KEYS)


ODD = (None, -1, 2**80, "x" * 70_000, [], {}, [[]] * 50, 1.5, True, "\ud800", {"a": {"b": {}}})


def test_texts_of_all_kinds_that_are_signed_all_the_same_are_taken_or_refused():
    """A commander, or a station, with a mistake of its own: nothing but ForgedError is ever raised."""
    rng, taken = random.Random(5), 0
    examples = [
        Desired(station="press", generation=1, slots={"policy": wanted("new")}),
        Reported(station="press", boot=1, count=2, slots={"policy": Slot(sha256="")}, health=Health()),
        Plan(id="r", term=1, slots={"policy": wanted("new")}),
        Word(rollout="r", number=1, word="pause"),
        Online(online=True),
        Present(online=True),
    ]
    for _ in range(3000):
        kind, text = type(one := rng.choice(examples)), bytearray(one.text())
        for _ in range(rng.randint(0, 4)):
            text[rng.randrange(len(text))] = rng.randrange(256)
        if rng.random() < 0.5:
            tree = one.model_dump(mode="json")
            tree[rng.choice(list(tree))] = rng.choice(ODD)
            text = (
                repr(tree).replace("'", '"').replace("None", "null").replace("True", "true").encode("utf-8", "replace")
            )
        with contextlib.suppress(ForgedError):
            kind.read(bytes(text))
            taken += 1
    assert 100 < taken < 2900
    for deep in (b"[" * 100_000, b'{"slots":' * 10_000, b"\xff", b""):
        with pytest.raises(ForgedError):
            Desired.read(deep)


def test_an_agent_and_a_commander_take_any_bytes_on_any_topic():
    """Nothing is raised, nothing is kept, nothing is applied."""
    rng, box = random.Random(9), Box()
    fleet = Fleet(TOPICS, KEYS)
    kept = box.disk
    good = [
        order("press", 7, {"policy": wanted("new")}),
        Online(online=False).text(),
        seal(OTHER, "plan", "commander", b"{}"),
    ]
    topics = [
        TOPICS.desired("press"),
        TOPICS.online("press"),
        TOPICS.reported("press"),
        TOPICS.commander("rollout"),
        "x/y",
        "",
    ]
    for _ in range(1500):
        data = bytearray(rng.choice(good))
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        topic = rng.choice(topics)
        box.do(box.agent.received(topic, bytes(data)))
        fleet.take(topic, bytes(data))
    box.look(3)
    assert (box.disk, box.plant.commits, fleet.plan) == (kept, [], None)
    assert all(one.desired is None and one.reported is None for one in fleet.members.values())


def report(key, boot, count):
    return Reported(station="press", boot=boot, count=count).sealed(key, "press")


def test_a_commander_keeps_the_newest_report_and_the_first_key():
    fleet, topic = Fleet(TOPICS, KEYS), TOPICS.reported("press")
    assert fleet.take(topic, report(own_key("press"), 2, 5)) == []
    for older in (report(own_key("press"), 2, 4), report(own_key("press"), 1, 99)):
        assert "behind (2, 5)" in fleet.take(topic, older)[0].outcome
    assert "not trusted" in fleet.take(topic, report(OTHER, 3, 1))[0].outcome
    assert fleet.members["press"].reported.order == (2, 5)
    del fleet.pins["press"]
    assert fleet.take(topic, report(OTHER, 3, 1)) == []
