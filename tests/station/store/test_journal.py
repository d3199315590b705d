import pytest

from station.store.journal import Damage, Journal, Read, line, parse, read

RECORDS = [{"n": n, "kind": "change", "why": "a line\nin two, ünd words " * n} for n in range(1, 5)]
DATA = b"".join(map(line, RECORDS))


def test_what_was_written_is_read(tmp_path):
    journal = Journal(tmp_path / "journal")
    for record in RECORDS:
        journal.append(record)
    journal.close()
    assert read(tmp_path / "journal") == Read(tuple(RECORDS))
    assert read(tmp_path / "none") == Read(())


def test_a_journal_that_is_cut_at_any_byte_has_the_records_before():
    ends = [0, *(sum(len(line(r)) for r in RECORDS[:n]) for n in range(1, 5))]
    for size in range(len(DATA) + 1):
        whole = sum(end <= size for end in ends[1:])
        assert parse(DATA[:size]) == Read(tuple(RECORDS[:whole]), (), size - ends[whole])


@pytest.mark.parametrize("change", [0x01, 0x20, 0xFF])
def test_a_changed_byte_costs_its_record_and_no_other(change):
    """Or, where it was the end of a line, those of both sides; and the place is told."""
    for place in range(len(DATA)):
        data = bytearray(DATA)
        data[place] ^= change
        found = parse(bytes(data))
        lost = [record for record in RECORDS if record not in found.records]
        assert all(record in RECORDS for record in found.records)
        assert 1 <= len(lost) <= 2 and len(found.records) == 4 - len(lost)
        assert found.cut or any(one.offset <= place < one.offset + one.size for one in found.damage)


def test_damage_that_hangs_together_is_one():
    lines = [line(record) for record in RECORDS]
    data = lines[0] + b"nonsense\n" + lines[1][:-9] + b"\n" + lines[2]
    assert parse(data) == Read((RECORDS[0], RECORDS[2]), (Damage(len(lines[0]), 9 + len(lines[1]) - 8),))


def test_a_record_that_is_refused_leaves_nothing(tmp_path, monkeypatch):
    """And those behind it are written as if it had never been."""
    journal = Journal(tmp_path / "journal")
    journal.append(RECORDS[0])
    monkeypatch.setattr("os.fsync", _full)
    with pytest.raises(OSError, match="full"):
        journal.append(RECORDS[1])
    with pytest.raises(OSError, match=r"it is not known what .* says .*start the station again"):
        journal.append(RECORDS[1])
    monkeypatch.undo()
    journal.close()
    journal = Journal(tmp_path / "journal")
    journal.append(RECORDS[2])
    journal.close()
    assert read(tmp_path / "journal").records == (RECORDS[0], RECORDS[2])


def _full(file):
    raise OSError(28, "full")
