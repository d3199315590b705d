"""What waits for the broker: in order, bounded, counted, and on disk where a file is named."""

import os

import pytest

from fieldbus.tags import Quality
from plc_bindings.mqtt import store as store_module
from plc_bindings.mqtt.payload import Record
from plc_bindings.mqtt.points import points
from plc_bindings.mqtt.store import SYNC_S, Store
from tests.plc_bindings.mqtt.plant import Plant

POINTS = points(Plant().database, ("*",), (), {})


def record(number, name="Tags.temperature", value=None, of=POINTS):
    return Record(number, 0, Quality.STALE, [(of.by_name[name.lower()], float(number) if value is None else value)])


def numbers(records):
    return [r.time_ms for r in records]


def filled(count, most_bytes=1 << 20, file=None):
    store = Store(POINTS, most_bytes, file)
    for number in range(count):
        store.put(record(number))
    return store


def test_a_record_comes_back_as_it_was():
    plant = Plant()
    store = Store(POINTS, 1 << 20)
    for index, group in enumerate(POINTS.groups):
        data = plant.database.areas[group.area].data
        put = Record(5, index, Quality.BAD, list(group.values(data)))
        store.put(put)
        assert store.take(1) == [put]


def test_more_values_than_a_record_has_place_for_become_several(monkeypatch):
    monkeypatch.setattr("plc_bindings.mqtt.store.MOST_VALUES", 2)
    store, values = Store(POINTS, 1 << 20), list(POINTS.groups[0].values(Plant().sensors.data))
    store.put(Record(5, 0, Quality.GOOD, values))
    found = store.take(10)
    assert [len(one.changes) for one in found] == [2] * (len(values) // 2) + [1] * (len(values) % 2)
    assert [change for one in found for change in one.changes] == values


def test_records_leave_when_they_are_confirmed_and_not_before():
    store = filled(10)
    assert numbers(store.take(4)) == [0, 1, 2, 3]
    store.confirm(2)
    assert (len(store), store.first, store.next) == (8, 2, 4)
    store.again()
    assert numbers(store.take(100)) == [2, 3, 4, 5, 6, 7, 8, 9]
    store.confirm(10)
    assert (len(store), store.bytes) == (0, 0)
    assert store.take(1) == []
    store.confirm(99)
    store.put(record(10))
    assert numbers(store.take(1)) == [10]


def test_the_oldest_make_room_and_are_counted():
    size = filled(1).bytes
    store = filled(25, 10 * size)
    assert (len(store), store.bytes, store.dropped) == (10, 10 * size, 15)
    assert numbers(store.take(3)) == [15, 16, 17]
    for number in range(25, 28):
        store.put(record(number))
    assert store.dropped == 15  # they were sent: whether they came is not known yet
    store.again()
    assert store.dropped == 18
    assert numbers(store.take(1)) == [18]


def test_a_record_that_is_larger_than_all_is_dropped():
    store = Store(POINTS, 10)
    store.put(record(1))
    assert (len(store), store.bytes, store.dropped) == (0, 0, 1)


def test_what_waits_is_read_again(tmp_path):
    file = tmp_path / "kept"
    store = filled(3, file=file)
    store.keep()
    store.put(record(3))
    store.keep()
    store.keep()
    assert file.stat().st_mode & 0o777 == 0o600
    other = Store(POINTS, 1 << 20, file)
    other.load()
    assert numbers(other.take(9)) == [0, 1, 2, 3]
    assert other.dropped == 0
    other.confirm(4)
    assert file.read_bytes() == b""
    again = Store(POINTS, 1 << 20, file)
    again.load()
    assert len(again) == 0


def test_the_disk_is_waited_for_once_a_second(tmp_path, monkeypatch):
    """Of a new file its folder too; for what came last as well, though nothing comes behind it; and never for nothing."""
    synced, now_s = [], 100.0
    monkeypatch.setattr(store_module.os, "fsync", lambda file: synced.append(os.readlink(f"/proc/self/fd/{file}")))
    monkeypatch.setattr(store_module.time, "monotonic", lambda: now_s)
    file = tmp_path / "kept"
    store = filled(1, file=file)
    store.keep()
    assert synced == [f"{file}.new", str(tmp_path)]
    store.put(record(1))
    for _ in range(5):
        store.keep()
    assert len(synced) == 2
    now_s += SYNC_S
    for _ in range(5):
        store.keep()
    assert synced[2:] == [str(file)]
    now_s += SYNC_S
    store.keep()
    store.take(9)
    store.confirm(2)
    store.keep()
    assert len(synced) == 3 and file.read_bytes() == b""
    store.put(record(2))
    store.keep()
    store.put(record(3))
    store.keep()  # which the disk has not been waited for
    store.take(9)
    store.confirm(4)
    emptied = file.stat()
    now_s += SYNC_S
    store.keep()
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (emptied.st_ino, emptied.st_mtime_ns)


def test_confirmed_records_do_not_come_back_once_the_file_is_written_anew(tmp_path):
    file = tmp_path / "kept"
    size = filled(1).bytes
    store = Store(POINTS, 20 * size, file)
    for number in range(200):
        store.put(record(number))
        store.keep()
    assert file.stat().st_size < 3 * 20 * size + 5000
    other = Store(POINTS, 20 * size, file)
    other.load()
    assert numbers(other.take(99)) == list(range(180, 200))


@pytest.mark.parametrize("cut", [1, 5, 20, 34, 36])
def test_a_file_that_was_cut_loses_its_end_alone(tmp_path, cut):
    file = tmp_path / "kept"
    filled(5, file=file).keep()
    file.write_bytes(file.read_bytes()[:-cut])
    store = Store(POINTS, 1 << 20, file)
    store.load()
    assert numbers(store.take(9)) == list(range(4 - cut // 36))
    assert store.dropped == 1


@pytest.mark.parametrize(
    "rubbish", [b"x", b"[1]\nabc", b"{}\n", b'[["Tags.temperature", "LREAL"]]\n\xff\xff\xff\xff\0\0\0\0', b"\n" * 50]
)
def test_rubbish_is_no_reason_to_fail(tmp_path, rubbish):
    file = tmp_path / "kept"
    file.write_bytes(rubbish)
    store = Store(POINTS, 1 << 20, file)
    store.load()
    assert len(store) == 0
    assert store.trouble == ""


def test_another_station_file_keeps_what_it_still_has(tmp_path):
    file = tmp_path / "kept"
    store = Store(POINTS, 1 << 20, file)
    store.put(record(1))
    store.put(record(2, "Tasks.axis.Name", "axis"))
    store.put(record(3, "Tags.running", True))
    store.keep()
    fewer = points(Plant().database, ("Tags.t*", "Tags.r*"), (), {})
    other = Store(fewer, 1 << 20, file)
    other.load()
    found = other.take(9)
    assert [(r.time_ms, p.name, value) for r in found for p, value in r.changes] == [
        (1, "Tags.temperature", 1.0), (3, "Tags.running", True)
    ]  # fmt: skip
    assert other.dropped == 1


def test_a_file_that_cannot_be_written_is_told_and_nothing_else(tmp_path):
    store = filled(2, file=tmp_path / "gone" / "kept")
    store.keep()
    assert "No such file or directory" in store.trouble
    assert len(store) == 2
    (tmp_path / "gone").mkdir()
    store.put(record(2))
    store.keep()
    assert store.trouble == ""
    other = Store(POINTS, 1 << 20, tmp_path / "gone" / "kept")
    other.load()
    assert len(other) == 3
