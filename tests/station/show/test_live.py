"""The live table and its lines."""

import io
import time
from dataclasses import replace

import pytest
from rich.console import Console

from scheduler.stats import SliceStats
from station.show.live import LineView, TableView, draw, one_line, tag_lines, view_for
from station.show.snapshot import ServerView
from tests.station.examples_of import snapshot, tag


def console(terminal=True):
    return Console(file=io.StringIO(), force_terminal=terminal, width=160, color_system=None)


def test_table_shows_tasks_and_links():
    """Tasks with cycles, overruns, latencies, model version; links with state and round trip; missing rights."""
    out = console()
    out.print(draw(snapshot()))
    text = out.file.getvalue()
    shown = ("axis_x", "policy v2", "1 ms", "20,000", "30/61/257", "outputs safe", "127.0.0.1:1502")
    for part in shown:
        assert part in text
    assert "<refused> & gone" in text
    assert "not granted: SCHED_FIFO 80;" in text


def test_table_shows_tags():
    """Value, unit, raw bytes, quality and age of the first tags, and how many more there are."""
    out = console()
    out.print(draw(snapshot()))
    text = out.file.getvalue()
    for part in ("level", "21.5", "41 AC 00 00", "STALE", "never", "and 297 more tags: rt-engine watch"):
        assert part in text


def test_what_waits_for_a_broker_is_told():
    """And what was dropped, and why the broker is away; nothing where all is well."""
    well = ServerView("bus", "mqtt", 1, 0, 0, {"messages": 9, "stored_records": 0, "dropped_records": 0})
    away = replace(well, numbers={"messages": 9, "stored_records": 1200, "dropped_records": 3}, trouble="refused")
    assert well.note == ""
    out = console()
    out.print(draw(replace(snapshot(), servers=(away,))))
    assert "bus: 1,200 stored records, 3 dropped records; refused" in out.file.getvalue()


@pytest.mark.parametrize("width", [60, 160])
@pytest.mark.parametrize("height", [25, 30, 40])
def test_no_more_tags_than_a_screen_has_lines(height, width):
    """What does not fit would be cut off: all that is drawn fits, and leaves few lines empty."""
    many = replace(snapshot(), tags=tuple(tag(f"t{n}", 1.0) for n in range(60)), tag_count=300)
    out = Console(file=io.StringIO(), width=width)
    out.print(draw(many, tag_lines(many, height)))
    text = out.file.getvalue()
    assert height - 6 <= len(text.splitlines()) < height
    assert f"and {300 - text.count('GOOD')} more tags" in text


def test_a_low_screen_shows_three_tags():
    """Fewer would be none."""
    assert tag_lines(snapshot(), 5) == 3


def test_view_depends_on_the_terminal():
    """A terminal gets the table, a pipe gets lines."""
    assert isinstance(view_for(console()), TableView)
    assert isinstance(view_for(console(terminal=False)), LineView)


def test_a_service_has_status_lines_only_where_the_file_says_so(monkeypatch):
    """Its log has each event; a line every 5 s would be 17,280 a day."""
    for service, key, lines in (("", None, 1), ("1", None, 0), ("1", True, 1), ("", False, 0)):
        monkeypatch.setenv("INVOCATION_ID", service)
        out = console(terminal=False)
        with view_for(out, key) as view:
            view.show(snapshot())
        assert out.file.getvalue().count("axis_x") == lines


def test_lines_come_seldom():
    """Four snapshots a second make one line in five seconds."""
    now = [0.0]
    out = console(terminal=False)
    with LineView(out, lambda: now[0]) as view:
        for _ in range(45):
            view.show(snapshot())
            now[0] += 0.25
    assert out.file.getvalue().count("not granted") == 1
    assert out.file.getvalue().count("axis_x") == 3


def test_one_line():
    """A line names every task and link, and what is wrong."""
    line = one_line(snapshot())
    assert "axis_x 20,000 cycles, 1 overruns, 2 missed, wake-up 30/61/257 us" in line
    assert "anomaly 0 cycles, 0 overruns, 0 missed, wake-up - us (outputs safe, inputs bad)" in line
    assert line.endswith("plant up | plc down")


def test_drawing_is_cheap():
    """Drawing costs a small part of the quarter second that it has (ten times its usual cost is allowed)."""
    with TableView(console()) as view:
        begin = time.process_time()
        for _ in range(20):
            view.show(snapshot())
        assert (time.process_time() - begin) / 20 < 0.1


def test_notes_are_whole_lines_on_a_narrow_terminal():
    """At 80 columns what is wrong stands in words below the tables, in one piece, and no number is cut off."""
    out = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    out.print(draw(snapshot()))
    lines = [line.rstrip() for line in out.file.getvalue().splitlines()]
    assert "anomaly: outputs safe, inputs bad" in lines
    assert "plc: <refused> & gone" in lines
    assert any(line.startswith("axis_x") and line.endswith("30/61/257  30/61/257") for line in lines)
    assert "…" not in out.file.getvalue()


def test_a_model_in_slices_has_a_line():
    """In how many cycles a run is done, how old a result is, the longest slice; before the first result, that there is none."""
    shown, sliced = snapshot(), SliceStats(300_000, 292, 301, 87_000_000, 88_000_000, 298_000)
    tasks = (replace(shown.tasks[0], slices=sliced, counters={"slice_overruns": 2}), *shown.tasks[1:])
    out = console()
    out.print(draw(replace(shown, tasks=tasks)))
    words = "a run in 292 cycles (292 ms), at most 301; longest slice 298 of 300 us, 2 were longer"
    assert f"axis_x: {words}" in out.file.getvalue()
    assert words in one_line(replace(shown, tasks=tasks))
    none = replace(tasks[0], slices=replace(sliced, cycles=0))
    assert none.slice_words == "no run in slices is done yet"
    assert tag_lines(shown, 60) - tag_lines(replace(shown, tasks=tasks), 60) == 1
