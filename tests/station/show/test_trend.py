"""Pictures of trends."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from station.show.trend import HEIGHT, WIDTH, Band, Frame, Line, bands_picture, lines_picture

FRAME = Frame(0.0, 100.0, lambda seconds: f"{seconds:g} s", "force")
NAN = np.nan


def points(svg, css):
    path = next(p for p in ElementTree.fromstring(svg).iter("path") if p.attrib["class"].split()[0] == css)
    return [tuple(map(float, pair)) for pair in re.findall(r"(-?[\d.]+) (-?[\d.]+)", path.attrib["d"])]


@pytest.mark.parametrize(
    "values", [[1.0] * 9, [0.0] * 9, [1e300, -1e300] * 5, [1e-300, 2e-300] * 5, [NAN, 3.0, NAN] * 3]
)
def test_all_lies_inside_its_frame(values):
    """However small or large the numbers are, and where there is but one."""
    values = np.array(values)
    svg = bands_picture([Band("old", values, values)], FRAME)
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points(svg, "old"))


def test_a_band_has_the_ends_of_every_column():
    """The highest point is the greatest value's, the lowest the least one's."""
    least, greatest = np.array([0.0, -3.0, 0.0, 0.0]), np.array([1.0, 1.0, 7.0, 1.0])
    ys = [y for _, y in points(bands_picture([Band("old", least, greatest)], FRAME), "old")]
    assert ys.index(min(ys)) == 2
    assert ys.index(max(ys)) == 4 + 2


def test_a_gap_is_left_open():
    values = np.array([1.0, 1.0, NAN, 1.0, 1.0])
    svg = lines_picture([Line("new", np.arange(5.0), values)], FRAME)
    assert re.search(r'd="M[^"]*M', svg)


def test_a_limit_far_away_does_not_flatten_the_trend():
    """One that is near is drawn."""
    values = np.array([0.0, 1.0])
    for limit, drawn in ((1.2, True), (1e6, False), (np.inf, False)):
        frame = Frame(0.0, 1.0, str, "", marks=(("limit", limit),))
        assert ('class="limit"' in bands_picture([Band("old", values, values)], frame)) == drawn


def test_without_a_value_there_is_no_picture():
    assert "no value" in bands_picture([Band("old", np.array([NAN]), np.array([NAN]))], FRAME)


def test_a_summary_is_read_to_who_does_not_see_it():
    assert 'aria-label="&lt;force"' in lines_picture(
        [Line("old", np.arange(2.0), np.arange(2.0))], Frame(0.0, 1.0, str, "<force")
    )
