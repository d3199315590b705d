"""The picture of the plant's own record."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from station.demo.machine import TRACE_COLUMNS, Machine
from station.demo.trajectory import MOST_SECONDS, Moment, braked_times, trajectory_svg

SVG = "{http://www.w3.org/2000/svg}"


def history(seconds: float) -> dict[str, Any]:
    """What a plant that nobody controls records."""
    machine = Machine()
    for step in range(round(seconds / 0.01) + 1):
        machine.advance(0.01 * step)
    return machine.history()


def elements(svg: str, tag: str, of_class: str) -> list[ElementTree.Element]:
    return [found for found in ElementTree.fromstring(svg).iter(SVG + tag) if found.get("class") == of_class]


def test_lines_brakes_and_moments() -> None:
    """For each axis position and reference, a point per row; grey where it was braked; every moment with its words."""
    record = history(1.0)
    svg = trajectory_svg(record, [Moment(0.0, "start"), Moment(0.5, "cut & <back>")])
    lines = elements(svg, "polyline", "position") + elements(svg, "polyline", "reference")
    assert [len((line.get("points") or "").split()) for line in lines] == [len(record["rows"])] * 4
    assert len(elements(svg, "rect", "braked")) == 2 + 1  # one is the legend's
    assert len(elements(svg, "line", "moment")) == 2
    assert "cut & <back>" in [text.text for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_begins_at_the_first_moment() -> None:
    """What was before the first moment is left out."""
    record = history(1.0)
    line = elements(trajectory_svg(record, [Moment(0.5, "start")]), "polyline", "position")[0]
    assert len((line.get("points") or "").split()) == sum(row[0] >= 0.5 for row in record["rows"])


def test_nothing_recorded() -> None:
    """An empty record gives an empty picture, not an error."""
    svg = trajectory_svg({"columns": list(TRACE_COLUMNS), "rows": []}, [])
    assert len(elements(svg, "polyline", "position")) == 2


def test_braked_times() -> None:
    """Each stretch with an engaged brake, with the times of its first and last row."""
    assert braked_times([0, 1, 2, 3, 4, 5], [0, 1, 1, 0, 3, 0]) == [(1, 2), (4, 4)]
    assert braked_times([0, 1], [0, 0]) == []


def test_words_of_neighbours_do_not_cover_each_other() -> None:
    """Moments shortly after one another have their words in rows of their own."""
    svg = trajectory_svg(history(1.0), [Moment(0.1 + 0.01 * place, f"moment {place}") for place in range(4)])
    texts = [text for text in ElementTree.fromstring(svg).iter(f"{SVG}text") if (text.text or "").startswith("moment")]
    assert len({text.get("y") for text in texts}) == 4


def test_a_long_record_has_no_more_labels_than_there_is_room_for() -> None:
    """Seconds are marked further apart; a moment that the record no longer reaches is left out."""
    record = history(1.0)
    record["rows"] = [[200.0 + 120.0 * row[0], *row[1:]] for row in record["rows"]]
    svg = trajectory_svg(record, [Moment(100.0, "long ago"), Moment(250.0, "cut")])
    texts = [text.text or "" for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]
    assert 5 < sum(text.endswith(" s") for text in texts) <= MOST_SECONDS
    assert "cut" in texts
    assert "long ago" not in texts
