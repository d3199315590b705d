"""Whose files are whose, which is the oldest, and what goes."""

from station.recorder.shelf import Shelf


def test_names_and_numbers(tmp_path):
    shelf = Shelf(tmp_path / "none" / "here", "cell-4")
    assert shelf.kept() == []
    shelf.folder.mkdir(parents=True)
    first = shelf.next_path("fault", 1_790_000_000_000_000_000)
    first.write_bytes(b"123")
    second = shelf.next_path("salvaged", 0)
    second.touch()
    assert (first.name, second.name) == (
        "cell-4-000001-20260921T141320Z-fault.mcap",
        "cell-4-000002-19700101T000000Z-salvaged.mcap",
    )
    kept = shelf.kept()
    assert [(one.number, one.why, one.size) for one in kept] == [(1, "fault", 3), (2, "salvaged", 0)]
    assert kept[0].begun.year == 2026


def test_files_of_others_are_not_seen(tmp_path):
    """Another station whose name begins alike, other names, folders, links."""
    shelf = Shelf(tmp_path, "cell")
    good = tmp_path / "cell-000007-20260921T141320Z-fault.mcap"
    good.touch()
    for name in (
        "cell-4-000001-20260921T141320Z-fault.mcap",
        "cell-000001-20260921T141320Z-fault.mcap.part",
        "cell-000001-20261399T141320Z-fault.mcap",
        "cell-000001-fault.mcap",
    ):
        (tmp_path / name).touch()
    (tmp_path / "cell-000002-20260921T141320Z-fault.mcap").mkdir()
    (tmp_path / "cell-000003-20260921T141320Z-fault.mcap").symlink_to(good)
    assert [one.path for one in shelf.kept()] == [good]


def test_the_oldest_go_until_the_rest_fits(tmp_path):
    shelf = Shelf(tmp_path, "cell")
    paths = []
    for size in (10, 20, 30, 40):
        paths.append(shelf.next_path("fault", 0))
        paths[-1].write_bytes(bytes(size))
    assert shelf.make_room(75, frozenset({paths[0]})) == (2, 50, 2)
    assert [path.exists() for path in paths] == [True, False, False, True]
    assert shelf.make_room(50, frozenset()) == (2, 50, 0)
