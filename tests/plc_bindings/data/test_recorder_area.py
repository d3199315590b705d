"""What PLC clients see of a recorder, and how they trigger it."""

import struct

from plc_bindings.data.database import Database, Session, Symbol
from plc_bindings.data.recorder_area import RECORDER, RecorderArea, RecorderNumbers, RecorderShown
from plc_bindings.data.types import String


def opened(shown, *patterns):
    area = RecorderArea(shown)
    data = Database([area], [Symbol("Recorder", RECORDER, 0, 0)], [])
    session = Session(data, data.writable(patterns))
    session.begin()
    return session


def value(session, name):
    symbol = session.database.find(f"Recorder.{name}")
    raw = session.read(symbol.area, symbol.offset, symbol.size)
    return raw.split(b"\0")[0].decode() if isinstance(symbol.type, String) else int.from_bytes(raw, "little")


def test_every_number_has_its_place():
    numbers = RecorderNumbers(1, 2, 3, 4, 5, 6, 7, "bench-1.mcap", "No space left on device")
    session = opened(RecorderShown(lambda: numbers))
    names = ("State", "Triggers", "Files", "Bytes", "Quota", "Dropped", "Lost", "Newest", "LastError")
    wanted = (1, 2, 3, 4, 5, 6, 7, "bench-1.mcap", "No space left on device")
    assert tuple(value(session, name) for name in names) == wanted
    assert value(session, "Record") == 0


def test_a_number_in_record_is_a_trigger_and_a_zero_is_none():
    asked = []
    session = opened(RecorderShown(record=lambda: asked.append(1)), "Recorder.Record")
    symbol = session.database.find("Recorder.Record")
    for number, times in ((0, 0), (1, 1), (1, 2)):
        session.write(symbol.area, symbol.offset, struct.pack("<H", number))
        session.commit()
        assert len(asked) == times


def test_counts_too_large_for_their_type_stay_at_its_end():
    assert value(opened(RecorderShown(lambda: RecorderNumbers(triggers=1 << 40))), "Triggers") == 0xFFFF_FFFF
