"""Pictures of histograms."""

import itertools
import re
from xml.etree import ElementTree

import pytest

from rt_native.histogram import Histogram
from station.show.picture import LETTER, ROW, Bar, Picture, octave_bars, svg_picture, text_picture


def picture(*times_ns):
    histogram = Histogram()
    for ns in times_ns:
        histogram.add(ns)
    return Picture.of("wake-up", histogram)


def test_bars_keep_every_sample():
    """Merging into fewer bars loses no sample, and the bars follow each other without a gap."""
    fine = picture(*range(1_000, 100_000, 37))
    for per_octave in (1, 4, 16):
        bars = octave_bars(fine.bars, per_octave)
        assert sum(bar.count for bar in bars) == fine.timing.count
        assert all(a.high_ns == b.low_ns for a, b in itertools.pairwise(bars))


def test_svg_is_well_formed_and_inside_its_frame():
    """Every bar and label of the picture lies in the picture, for one sample as for many decades."""
    for times in ((30_000,), (1,), (1_000, 30_000, 30_000, 2_000_000_000), tuple(range(20_000, 60_000, 7))):
        root = ElementTree.fromstring(svg_picture(picture(*times)))
        width, height = map(int, root.attrib["viewBox"].split()[2:])
        for rect in root.iter("rect"):
            x, y, w, h = (float(rect.attrib[key]) for key in ("x", "y", "width", "height"))
            assert x >= 0
            assert x + w <= width
            assert y >= 0
            assert h > 0
            assert y + h <= height + 0.1
        for text in root.iter("text"):
            assert 0 <= float(text.attrib["x"]) <= width
        labels = [text.text for text in root.iter("text") if "mark-label" in text.attrib["class"]]
        assert [label.split()[0] for label in labels] == ["p50", "p99", "p99.9", "max"]


@pytest.mark.parametrize(
    "times", [[30_000] * 100, [30_000] * 2_000 + [31_000] * 30 + [32_500, 33_000], [9_900_000, 10_000_000]]
)
def test_labels_of_close_marks_do_not_cover_each_other(times):
    """However close p50, p99, p99.9 and max are, their labels have rows of their own."""
    root = ElementTree.fromstring(svg_picture(picture(*times)))
    labels = [text for text in root.iter("text") if "mark-label" in text.attrib["class"]]
    boxes = [(float(t.attrib["x"]), LETTER / 2 * len(t.text), float(t.attrib["y"])) for t in labels]
    for (x, half, y), (x2, half2, y2) in itertools.combinations(boxes, 2):
        assert abs(x - x2) >= half + half2 or abs(y - y2) >= ROW


def test_one_outlier_is_seen():
    """A single sample among thousands is a bar of its own."""
    root = ElementTree.fromstring(svg_picture(picture(*[30_000] * 5_000, 3_000_000)))
    titles = [title.text for title in root.iter("title")]
    assert [re.search(r": ([\d,]+)$", title)[1] for title in titles] == ["5,000", "1"]
    assert float(list(root.iter("rect"))[1].attrib["height"]) > 5


def test_text():
    """The text picture has a row per range, the counts add up, and it stays short."""
    text = text_picture(picture(*[30_000] * 500, *[61_000] * 20, 3_000_000))
    rows = text.splitlines()[1:-1]
    assert sum(int(row.split()[-1].replace(",", "")) for row in rows) == 521
    assert len(rows) <= 16
    assert "p50 30" in text.splitlines()[-1]


def test_nothing_measured():
    """An empty histogram is said to be empty."""
    assert "nothing was measured" in text_picture(picture())
    assert "nothing was measured" in svg_picture(picture())
    assert octave_bars([], 4) == []


def test_bar_of_a_tiny_time():
    """Zero nanoseconds have a place on a log scale too."""
    assert octave_bars([Bar(0, 1, 3)], 1)[0].count == 3
