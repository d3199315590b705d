"""Events: their time, what a flood of them becomes, and what cycles tell in words."""

import itertools
from datetime import datetime, timedelta

import pytest

from fieldbus.image.image import ProcessImage
from fieldbus.tags import Tag
from scheduler import Input, Output, Task
from scheduler.status import Action, TaskStatus
from scheduler.trace import Cycle
from station.show import events
from station.show.events import MOST, Diary, Doings


@pytest.fixture
def clock(monkeypatch):
    """The test's own time, monotonic and of the calendar."""

    class Clock:
        now_s = 1000.0

        def monotonic(self):
            return self.now_s

        def now(self, zone):
            return datetime.fromtimestamp(self.now_s, zone)

    own = Clock()
    monkeypatch.setattr(events, "time", own)
    monkeypatch.setattr(events, "datetime", own)
    return own


def test_an_event_is_told_at_once_with_its_time_and_zone(clock):
    told = []
    diary = Diary(told.append)
    clock.now_s += 2.0
    diary.note("link", "plant", "up -> down: cut", "bad")
    (event,) = told
    assert (event.at_s, event.kind, event.subject, event.level, event.good) == (2.0, "link", "plant", "bad", False)
    assert event.when.utcoffset() is not None
    assert str(event).endswith(" bad link plant: up -> down: cut")
    assert diary.events == (event,)


def test_an_event_of_the_past_has_the_time_when_it_happened(clock):
    diary = Diary()
    clock.now_s += 5.0
    diary.note("task", "axis", "outputs held", "warn", monotonic_s=1003.5)
    diary.note("task", "axis", "outputs live", "ok")
    first, second = diary.events
    assert first.at_s == 3.5
    assert second.when - first.when == timedelta(seconds=1.5)


def test_a_flood_is_folded_and_updates_never(clock):
    """214 changes in 3 s are a few lines and a count; each update has its line."""
    diary = Diary()
    for number in range(214):
        diary.note("link", "plant", f"change {number}", "warn")
        diary.note("update", "policy", f"update {number}", "ok")
        clock.now_s += 3.0 / 214
    clock.now_s += 20.0
    diary.flush()
    links = [event for event in diary.events if event.kind == "link"]
    assert len(links) == MOST + 1
    assert links[-1].text == f"{214 - MOST:,} changes in 2.9 s, the newest: change 213"
    assert len([event for event in diary.events if event.kind == "update"]) == 214


def test_a_flood_of_strangers_is_folded_as_one(clock):
    """Each name that comes is told, of a flood the newest alone: names take no memory."""
    diary = Diary()
    for number in range(1000):
        diary.note("client", f"10.0.0.{number}", "connect: refused", "bad", among="clients")
    diary.flush(is_last=True)
    assert [event.subject for event in diary.events] == [*(f"10.0.0.{number}" for number in range(MOST)), "10.0.0.999"]
    assert len(diary._recent) == 1


def test_what_is_folded_is_told_at_the_end(clock):
    diary = Diary()
    diary.note("task", "axis", "outputs held", "warn", times=300)
    assert diary.events == ()
    diary.flush(is_last=True)
    assert diary.events[0].text == "300 changes in 0.0 s, the newest: outputs held"


def test_memory_is_bounded(clock):
    diary = Diary()
    for number in range(3 * events.MOST_KEPT):
        diary.note("update", "policy", str(number), "ok")
    assert len(diary.events) == events.MOST_KEPT


# --- what cycles tell -------------------------------------------------------------------------------------------------


def cycle(at_s, action=Action.LIVE, status=0, blame=-1, age_ns=0, missed=0, switched=False):
    return Cycle(round(at_s * 1e9), action, int(status), blame, age_ns, 1_200_000, 30_000, missed, switched)


def told(*cycles):
    """What a task with the inputs `top`, `bottom` of `plant` and the output `force` tells of its cycles; its start is at 0 s."""
    image = ProcessImage()
    ins = [Tag(name, "float64", "in") for name in ("top", "bottom")]
    x = image.channel("x", ins, writer="plant", reader="axis")
    y = image.channel("y", [Tag("force", "float64", "out")], writer="axis", reader="plant")
    task = Task(
        name="axis",
        period_s=0.001,
        inputs=(Input(tensor=None, channel=x), Input(tensor=None, channel=x, cell=1)),
        outputs=(Output(tensor=None, channel=y),),
    )
    doings = Doings(task, 0.0)
    return list(itertools.chain.from_iterable(doings.of(one) for one in cycles))


NAN = (Action.HOLD, TaskStatus.NAN_INPUT, 1)


def test_held_outputs_name_the_tag_and_both_times():
    assert told(cycle(0.1), cycle(9.6, *NAN), cycle(11.6)) == [
        ("task", "outputs live", "ok"),
        ("task", "outputs held: bottom is NaN or infinite", "warn"),
        ("task", "outputs live again; from 9.6 to 11.6 s held: bottom is NaN or infinite", "ok"),
    ]


def test_before_outputs_were_ever_live_nothing_is_a_fault():
    begin = told(cycle(0.1, Action.SAFE, TaskStatus.BAD_INPUT, 0), cycle(0.5))
    assert begin == [
        ("task", "outputs safe: the values of plant are bad", "ok"),
        ("task", "outputs live for the first time", "ok"),
    ]


def test_another_cause_is_told_and_the_first_one_is_kept():
    """Held by NaN, then safe since the values are old: both are told, each with its own cause."""
    texts = [
        text for _, text, _ in told(cycle(1), cycle(2, *NAN), cycle(3, Action.HOLD, TaskStatus.NAN_OUTPUT, 0), cycle(4))
    ]
    assert texts[1:] == [
        "outputs held: bottom is NaN or infinite",
        "outputs still held: the model or the step gave NaN or infinity, for force",
        "outputs live again; from 2.0 to 4.0 s held: bottom is NaN or infinite",
    ]
    old = cycle(2, Action.SAFE, TaskStatus.BAD_INPUT, 0, age_ns=120_000_000)
    assert told(cycle(1), old)[1][1] == "outputs safe: the values of plant are 120 ms old"


def test_a_missed_tick_says_what_the_cycle_did():
    overrun = told(cycle(1), cycle(2, missed=2, switched=True))[1]
    assert overrun == (
        "overrun",
        "2 ticks missed: woke 1.2 ms late, worked 30 us, took over a new version of the model",
        "warn",
    )
