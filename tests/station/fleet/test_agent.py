"""A station's side of a fleet: orders, attempts, ends; kills at every moment."""

import pytest

from station.fleet.agent import REPORT_S
from station.fleet.documents import Health, Online, Stage
from station.fleet.events import After
from station.fleet.progress import MOST_ATTEMPTS, SETTLE_S
from tests.station.fleet.world import OLD, OTHER, TOPICS, Box, Killed, Plant, order, sha_of, wanted

DESIRED = TOPICS.desired("press")


def stage(box, slot="policy"):
    return box.reported.slots[slot].stage


def test_an_order_is_brought_to_its_end_and_every_step_is_told():
    box = Box()
    box.do(box.agent.connected())
    box.look()
    assert stage(box) == Stage.IDLE
    box.order(7, {"policy": wanted("new")})
    told = [box.reported.slots["policy"].stage]
    for _ in range(6):
        box.look()
        told.append(stage(box))
    assert list(dict.fromkeys(told)) == [Stage.STAGED, Stage.TRIAL, Stage.COMMITTED]
    assert (box.plant.commits, box.reported.generation) == ([("policy", sha_of("new"))], 7)
    assert [note.outcome for note in box.notes if note.is_change] == [
        f"taken: policy {sha_of('new')[:12]}",
        "committed",
    ]


def test_a_kill_at_any_moment_ends_in_the_same_state_with_one_commit():
    """Also two kills, one of them while it starts again."""
    for dies_at in range(200):
        for again in (None, 0, 1, 2, 3, 5, 8):
            box = Box()
            box.dies_at, box.moment = dies_at, 0
            kills = _killed(box, again)
            assert box.plant.committed["policy"] == sha_of("new"), (dies_at, again)
            assert box.plant.commits == [("policy", sha_of("new"))], (dies_at, again)
            assert stage(box) == Stage.COMMITTED
            if not kills:
                assert dies_at > 15, "kills were tried at every moment"
                return
    pytest.fail("it never came to its end without a kill")


def _killed(box, again):
    """Run to the end; killed where the box says, and `again` moments after. How often it was."""
    kills = 0

    def live(work):
        nonlocal kills
        try:
            work()
        except Killed:
            kills += 1
            box.dies_at = box.moment + again if again is not None and kills == 1 else -1
            live(box.boot)
            live(lambda: box.do(box.agent.connected()))
            live(lambda: box.order(7, {"policy": wanted("new")}))

    live(lambda: box.do(box.agent.connected()))
    live(lambda: box.order(7, {"policy": wanted("new")}))
    for _ in range(40):
        live(lambda: box.look(every=20.0))
    return kills


def test_a_bad_version_is_rolled_back_once_and_not_tried_again_after_a_restart():
    box = Box(plant=Plant(bad=frozenset({sha_of("new")})))
    box.do(box.agent.connected())
    box.order(7, {"policy": wanted("new")})
    box.look(10)
    assert stage(box) == Stage.ROLLED_BACK
    box.boot()
    box.do(box.agent.connected())
    box.look(30, every=30.0)
    assert stage(box) == Stage.ROLLED_BACK
    assert box.plant.committed["policy"] == OLD


def test_what_a_stopping_station_takes_back_is_no_failure():
    """Its state is seen once or twice before the process ends; after the start the version is tried again."""
    box = Box()
    box.order(7, {"policy": wanted("new")})
    box.look()
    box.look()
    state, candidate = box.plant.views["policy"]
    box.plant.views["policy"] = (type(state).ROLLED_BACK, candidate)
    box.look(2, every=SETTLE_S / 4)
    box.boot()
    box.look(10)
    assert box.plant.committed["policy"] == sha_of("new")


def test_a_version_that_ends_the_station_each_time_is_given_up():
    box = Box()
    box.order(7, {"policy": wanted("new")})
    for _ in range(MOST_ATTEMPTS + 2):
        box.look(every=0.1)
        box.look(every=0.1)
        box.boot()
    box.do(box.agent.connected())
    box.look(10)
    assert stage(box) == Stage.REJECTED
    assert "given up after 5 attempts" in box.reported.slots["policy"].why
    assert box.plant.commits == []


def test_a_version_that_somebody_took_back_later_stays_back():
    box = Box()
    box.do(box.agent.connected())
    box.order(7, {"policy": wanted("new")})
    box.look(8)
    state, candidate = box.plant.views["policy"]
    box.plant.views["policy"], box.plant.committed["policy"] = (type(state).ROLLED_BACK, candidate), OLD
    box.look(30, every=10.0)
    assert (stage(box), len(box.plant.commits)) == (Stage.ROLLED_BACK, 1)
    box.plant.views["policy"], box.plant.committed["policy"] = (type(state).COMMITTED, sha_of("hand")), sha_of("hand")
    box.boot()
    box.do(box.agent.connected())
    box.look(30, every=10.0)
    assert (stage(box), len(box.plant.commits)) == (Stage.ROLLED_BACK, 1)


def test_another_version_that_somebody_put_there_is_told_and_left():
    box = Box()
    box.do(box.agent.connected())
    box.order(7, {"policy": wanted("new")})
    box.look(8)
    box.plant.views, box.plant.committed["policy"] = {}, sha_of("hand")
    box.look(30, every=10.0)
    assert (stage(box), len(box.plant.commits)) == (Stage.REPLACED, 1)


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (order("press", 9, {"policy": wanted("evil")}, key=OTHER), "not trusted here"),
        (order("lathe", 9, {"policy": wanted("evil")}), "not that of a desired document for press"),
        (order("press", 9, {"policy": wanted("evil")}, of="lathe"), "it is for lathe"),
        (order("press", 6, {"policy": wanted("evil")}), "generation is 6, and 7 has come before"),
        (order("press", 7, {"policy": wanted("evil")}), "another order has its generation, 7"),
        (b"junk", "does not begin with a key"),
        (b"x" * 70_000, "at most 65,536"),
        (order("press", 9, {"policy": wanted("evil")}).replace(b'"generation":9', b'"generation":99'), "not that of"),
    ],
)
def test_a_broker_that_lies_is_refused_told_and_audited(payload, words):
    box = Box()
    box.do(box.agent.connected())
    box.order(7, {"policy": wanted("new")})
    box.look(8)
    kept = box.disk
    box.do(box.agent.received(DESIRED, payload))
    box.look(2)
    assert box.disk == kept
    assert words in box.reported.refusal and box.reported.refused == 1
    assert any(words in note.outcome and note.outcome.startswith("refused") for note in box.notes)
    assert box.plant.commits == [("policy", sha_of("new"))]


def test_what_the_broker_takes_away_or_repeats_changes_nothing():
    box = Box()
    box.do(box.agent.connected())
    box.order(7, {"policy": wanted("new")})
    box.look(8)
    moment, kept = box.moment, box.disk
    for payload in (b"", order("press", 7, {"policy": wanted("new")})):
        box.do(box.agent.received(DESIRED, payload))
    box.do(box.agent.received(TOPICS.desired("lathe"), order("lathe", 9, {})))
    assert (box.moment, box.disk, box.reported.refused) == (moment, kept, 0)


def test_an_order_of_a_key_that_is_no_longer_trusted_is_none_after_the_start():
    box = Box()
    box.order(7, {"policy": wanted("new")})
    again = Box(disk=box.disk, keys=(OTHER,))
    again.do(again.agent.connected())
    again.look(5)
    assert (again.plant.commits, again.reported.generation) == ([], 0)
    assert any("kept order" in note.what and "not trusted" in note.outcome for note in again.notes)


def test_a_full_disk_follows_no_order_and_goes_on_later():
    box = Box()
    box.do(box.agent.connected())
    box.disk_fails = "No space left on device"
    box.order(7, {"policy": wanted("new")})
    box.look(5)
    assert box.plant.commits == [] and box.reported.generation == 0
    assert any("No space left" in note.outcome for note in box.notes)
    box.look(2, every=REPORT_S)
    assert box.reported.refusal.startswith("No space left"), "who commands is told, too"
    box.disk_fails = ""
    box.look(8)
    assert (box.plant.commits, box.reported.generation) == ([("policy", sha_of("new"))], 7)
    assert box.reported.refusal == ""


def test_two_orders_at_once_end_with_the_newer():
    """The second comes while the first is being written."""
    box = Box()
    first = box.agent.received(DESIRED, order("press", 7, {"policy": wanted("a")}))
    second = box.agent.received(DESIRED, order("press", 8, {"policy": wanted("b", 2)}))
    box.do([*first, *second])
    box.look(10)
    assert box.plant.committed["policy"] == sha_of("b")


def test_an_order_to_go_back_that_comes_while_the_station_takes_a_version_takes_that_one_back():
    """The version before runs still: that is no end, what is under way would be live behind it."""
    box = Box()
    box.do(box.agent.connected())
    box.is_slow = True
    box.order(7, {"policy": wanted("new", before=OLD)})
    box.look()
    assert len(box.under_way) == 1
    box.order(8, {"policy": wanted("old", 0, back=True, before=sha_of("new"))})
    box.look(3)
    assert stage(box) == Stage.WAITING
    box.finish()
    box.look(8)
    assert (stage(box), box.plant.committed["policy"]) == (Stage.COMMITTED, OLD)


def test_a_file_that_cannot_be_had_is_asked_for_with_longer_and_longer_pauses():
    box = Box()
    box.do(box.agent.connected())
    box.fetch_fails = "https://x/ answers 404"
    box.order(7, {"policy": wanted("new")})
    box.look(600)
    assert 8 <= box.fetches <= 14
    assert (stage(box), box.reported.slots["policy"].why) == (Stage.FETCHING, "https://x/ answers 404")
    box.fetch_fails = ""
    box.look(300)
    assert stage(box) == Stage.COMMITTED


def test_offline_an_order_is_followed_and_told_when_the_broker_is_back():
    box = Box()
    box.do(box.agent.connected())
    box.order(7, {"policy": wanted("new")})
    box.do(box.agent.disconnected())
    box.published.clear()
    box.look(8)
    assert (box.published, box.plant.committed["policy"]) == ([], sha_of("new"))
    box.do(box.agent.connected())
    assert stage(box) == Stage.COMMITTED


def test_reports_are_ordered_without_clocks_and_numbers_alone_wait():
    box = Box()
    box.do(box.agent.connected())
    box.look()
    first = box.reported
    box.health = Health(reaction_ns=5, limit_ns=10)
    box.look(3)
    assert box.reported.order == first.order
    box.look(1, every=REPORT_S)
    assert box.reported.health.reaction_ns == 5
    box.health = Health(reaction_ns=11, limit_ns=10)
    box.look()
    second = box.reported
    assert not second.health.reacts and second.order > first.order
    box.now = -1000.0  # a clock that went back: the next boot is newer all the same
    box.boot()
    box.do(box.agent.connected())
    box.look()
    assert box.reported.order > second.order


def test_a_broker_that_believes_the_station_dead_is_told():
    box = Box()
    box.do(box.agent.connected())
    box.published.clear()
    box.do(box.agent.received(TOPICS.online("press"), Online(online=False, boot=1).text()))
    assert [Online.read(out.payload).online for out in box.published] == [True]
    box.do(box.agent.received(TOPICS.online("press"), b"{"))
    box.do(box.agent.received(TOPICS.online("press"), Online(online=True, boot=1).text()))
    assert len(box.published) == 1


def test_a_model_that_the_station_does_not_have_is_rejected():
    box = Box()
    box.do(box.agent.connected())
    box.order(7, {"arm": wanted("new")})
    box.look(6)
    assert (stage(box, "arm"), box.reported.slots["arm"].why) == (
        Stage.REJECTED,
        "this station has no model of this name",
    )


def test_attempts_that_found_no_room_on_the_disk_do_not_count():
    box = Box()
    box.do(box.agent.connected())
    box.plant_fails, box.plant_after = "store: No space left on device", After.FREE
    box.order(7, {"policy": wanted("new")})
    box.look(100, every=100.0)
    assert (stage(box), box.reported.slots["policy"].why) == (Stage.WAITING, "store: No space left on device")
    box.plant_fails = ""
    box.look(10, every=300.0)
    assert (stage(box), box.plant.commits) == (Stage.COMMITTED, [("policy", sha_of("new"))])
    again = Box()
    again.plant_fails = "the gate says no"
    again.do(again.agent.connected())
    again.order(7, {"policy": wanted("new")})
    again.look(100, every=100.0)
    assert stage(again) == Stage.REJECTED


def test_models_that_no_report_can_name_are_left_out_of_it_and_told():
    plant = Plant(committed={**{f"m{number}": OLD for number in range(70)}, "x" * 101: OLD})
    box = Box(plant=plant)
    box.do(box.agent.connected())
    box.order(7, {"m69": wanted("new"), "none": wanted("other")})
    box.look(9)
    slots = box.reported.slots
    assert (len(slots), slots["m69"].stage, slots["none"].stage) == (64, Stage.COMMITTED, Stage.REJECTED)
    assert "7 models are not told: a fleet knows names of up to 100 letters" in box.reported.health.words


def test_a_report_is_never_longer_than_a_commander_takes():
    plant = Plant(committed={f"m{number}": OLD for number in range(64)})
    box = Box(plant=plant)
    box.do(box.agent.connected())
    box.plant_fails = "\u00fc" * 500
    box.order(7, {f"m{number}": wanted("new") for number in range(64)})
    for number in range(64):
        box.agent.applied(f"m{number}", wanted("new"), "\u1234" * 500)
    box.look(2)
    newest = [out.payload for out in box.published if out.topic == TOPICS.reported("press")][-1]
    assert 10_000 < len(newest) <= 65_536
    assert box.reported.slots["m1"].why == "\u1234" * 50
