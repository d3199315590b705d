"""What a client is told of its own accord: when, how often, in which packets."""

import struct

import pytest

from fieldbus.ads.frames import FILETIME_EPOCH_S
from fieldbus.ads.protocol import Command, Error, Group
from plc_bindings.ads.groups import AREA
from plc_bindings.ads.notifications import FIRST_S, MOST_WAITING_BYTES, Notifications
from plc_bindings.security.access import Limits
from tests.plc_bindings.ads.plant import TASKS_AT, Plant, add_note, ask, handle, packet, split

NOW = 1000.0
PLACE = (0, 0, 4)
CYCLIC, ON_CHANGE = 3, 4
MS = 10_000


@pytest.fixture
def plant():
    return Plant()


@pytest.fixture
def session(plant):
    return plant.session(lambda: NOW)


def samples(stream):
    """[(handle, value), ...] of all packets."""
    found = []
    for command, error, _, data in split(stream):
        length, stamps = struct.unpack_from("<II", data)
        assert (command, error, length) == (Command.NOTIFICATION, 0, len(data) - 4)
        at = 8
        for _ in range(stamps):
            stamp, count = struct.unpack_from("<QI", data, at)
            assert stamp > FILETIME_EPOCH_S * 10_000_000
            at += 12
            for _ in range(count):
                number, size = struct.unpack_from("<II", data, at)
                found.append((number, data[at + 8 : at + 8 + size]))
                at += 8 + size
        assert at == len(data)
    return found


def subscribe(session, *args, **other):
    code, data = ask(session, add_note(*args, **other))
    assert code == 0, hex(code)
    return struct.unpack("<I", data)[0]


def test_the_first_sample_comes_after_the_handle_then_one_for_each_change(plant, session):
    number = subscribe(session, AREA, 0, 4, ON_CHANGE, cycle=10 * MS)
    assert session.next_due == NOW + FIRST_S
    assert session.tick(NOW) == b""
    value = plant.tags.data[:4]
    assert samples(session.tick(NOW + FIRST_S)) == [(number, value)]
    assert samples(session.tick(NOW + 0.02)) == []
    plant.tags.data = b"abcd" + plant.tags.data[4:]
    assert samples(session.tick(NOW + 0.021)) == [], "it is looked at every cycle time, not sooner"
    assert samples(session.tick(NOW + 0.03)) == [(number, b"abcd")]


def test_a_cyclic_one_gives_a_sample_each_cycle(session):
    number = subscribe(session, AREA, 0, 4, CYCLIC, cycle=10 * MS)
    got = [samples(session.tick(NOW + FIRST_S + i * 0.01)) for i in range(5)]
    assert [[found for found, _ in each] for each in got] == [[number]] * 5


def test_the_cycle_time_is_kept_on_the_average():
    """A look that comes late does not shift those that follow."""
    notes, looks = Notifications(), []
    notes.add(1, PLACE, False, 0.0, 0.010, NOW)
    for i in range(100):
        late = NOW + FIRST_S + i * 0.010 + 0.004
        looks += notes.due(late, lambda place: b"1234")
    assert len(looks) == 100
    assert notes.next_due == pytest.approx(NOW + FIRST_S + 1.0)


def test_after_a_long_delay_there_is_one_sample_and_no_burst():
    notes = Notifications()
    notes.add(1, PLACE, False, 0.0, 0.001, NOW)
    assert len(notes.due(NOW + 10, lambda place: b"1234")) == 1
    assert notes.due(NOW + 10, lambda place: b"1234") == []


def test_samples_wait_up_to_their_delay_and_travel_together(plant, session):
    """Each with the moment at which it was taken."""
    number = subscribe(session, AREA, 0, 4, CYCLIC, delay=50 * MS, cycle=10 * MS)
    first = NOW + FIRST_S
    for i in range(5):
        assert session.tick(first + i * 0.01) == b""
    stream = session.tick(first + 0.05)
    assert len(split(stream)) == 1
    assert [found for found, _ in samples(stream)] == [number] * 6


def test_what_waits_is_bounded():
    notes, sent = Notifications(), 0
    notes.add(1, PLACE, False, 1e6, 0.001, NOW)
    value = bytes(1000)
    for i in range(100):
        sent += len(notes.due(NOW + 1 + i * 0.002, lambda place: value))
        assert notes._waiting_bytes <= MOST_WAITING_BYTES
    assert sent > 50


def test_all_that_is_due_in_a_tick_is_of_one_moment(plant, session):
    for i in range(8):
        subscribe(session, AREA, 4 * i, 4, CYCLIC)
    plant.tags.reads = 0
    assert len(samples(session.tick(NOW + FIRST_S))) == 8
    assert plant.tags.reads == 1


def test_by_handle_and_on_the_symbol_version_and_the_state(plant, session):
    """What strict clients watch: 0xF008 and 0xF100 beside the values."""
    by_handle = subscribe(session, Group.VALUE_BY_HANDLE, handle(session, "Tags.Count"), 4)
    version = subscribe(session, Group.VERSION, 0, 1)
    state = subscribe(session, Group.DEVICE_DATA, 0, 4)
    got = dict(samples(session.tick(NOW + FIRST_S)))
    assert got == {by_handle: struct.pack("<i", -7), version: b"\1", state: struct.pack("<HH", 5, 0)}
    plant.database.version = 2
    assert dict(samples(session.tick(NOW + 1))) == {version: b"\2"}


def test_a_notification_on_more_bytes_than_there_are_is_short(plant, session):
    number = subscribe(session, AREA, 0, 0xFFFF_FFFF)
    assert samples(session.tick(NOW + 1)) == [(number, plant.tags.data)]


def test_a_deleted_one_is_silent_and_gone(session):
    number = subscribe(session, AREA, 0, 4, CYCLIC)
    delete = packet(Command.DELETE_NOTIFICATION, struct.pack("<I", number))
    assert ask(session, delete)[0] == 0
    assert session.tick(NOW + 1) == b""
    assert session.next_due == float("inf")
    assert ask(session, delete)[0] == Error.NO_NOTIFICATION


def test_handles_are_not_used_again(session):
    first = subscribe(session, AREA, 0, 4)
    ask(session, packet(Command.DELETE_NOTIFICATION, struct.pack("<I", first)))
    assert subscribe(session, AREA, 0, 4) != first


def test_a_thousand_are_too_many(plant, session):
    codes = [ask(session, add_note(AREA, 0, 4, cycle=1000 * MS))[0] for _ in range(1000)]
    assert codes == [0] * 500 + [Error.NO_MORE_HANDLES] * 500
    assert "too many" in plant.audit[-1][2]


def test_so_are_fifty_one_with_a_millisecond(session):
    """50,000 looks a second; a cycle time of 0 counts as one millisecond."""
    codes = [ask(session, add_note(AREA, 0, 4, cycle=0))[0] for _ in range(60)]
    assert codes == [0] * 50 + [Error.NO_MORE_HANDLES] * 10


def test_adding_and_deleting_without_end_costs_no_memory():
    """Those with a cycle of an hour would wait in the queue for an hour."""
    notes = Notifications()
    for number in range(10_000):
        notes.add(number, PLACE, True, 0.0, 3600.0, NOW)
        notes.due(NOW + FIRST_S, lambda place: b"1234")
        notes.remove(number)
    assert len(notes._due) < 100
    assert notes.samples_per_s == pytest.approx(0.0, abs=1e-6)


def test_many_at_once_by_sum_commands(session):
    item = struct.pack("<IIIIII16x", AREA, 0, 4, ON_CHANGE, 0, 10 * MS)
    wrong = struct.pack("<IIIIII16x", AREA, 0, 4, 99, 0, 10 * MS)
    request = struct.pack("<IIII", Group.SUM_ADD_NOTIFICATION, 2, 16, 80) + item + wrong
    code, data = ask(session, packet(Command.READ_WRITE, request))
    first, number, second, none = struct.unpack("<4I", data)
    assert (code, first, second, none) == (0, 0, Error.NO_MODE, 0)
    request = struct.pack("<IIII", Group.SUM_DELETE_NOTIFICATION, 2, 8, 8) + struct.pack("<II", number, 999)
    assert ask(session, packet(Command.READ_WRITE, request)) == (0, struct.pack("<II", 0, Error.NO_NOTIFICATION))


def test_a_mistake_of_ours_ends_the_connection(plant, session, caplog):
    """Rather than that a client takes silence for no change."""
    subscribe(session, TASKS_AT, 0, 4)
    plant.task.fails = True
    session.tick(NOW + 1)
    assert session.is_closed
    assert "a mistake" in caplog.text


def test_limits_are_those_of_the_server():
    session = Plant(Limits(notifications=3)).session()
    assert [ask(session, add_note(AREA, 0, 4))[0] for _ in range(4)] == [0, 0, 0, Error.NO_MORE_HANDLES]
