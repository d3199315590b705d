"""The page of a result: whole, without a network, and names of others as text."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

from station.latency.page import to_html
from station.latency.pictures import columns, latency_plot
from station.latency.result import Spread
from tests.station.latency.made import gev, result, subject

VOID = {"meta", "br", "link", "img", "hr"}


class Whole(HTMLParser):
    """Every element that is opened is closed, in its order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen = [], set()
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        assert not {name for name, _ in attrs} & {"src", "href", "onclick"}
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def pages():
    """One that is extrapolated, one that is not, both in a file of a killed run."""
    rng = np.random.default_rng(1)
    good, bad = subject(gev(rng, 600, 0.0)), subject(gev(rng, 600, 0.9), name="<b>x</b>", cpu=None)
    return [result(good), result(bad), result(good, bad, complete=False)]


@pytest.mark.parametrize("number", range(3))
def test_the_page_is_whole_and_alone(number):
    text = to_html(pages()[number])
    assert "script" not in Whole(text).seen
    assert "http" not in text
    assert "<b>x</b>" not in text.replace("<b>interrupt</b>", "")
    for picture in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        assert "nan" not in picture.lower()
        ElementTree.fromstring(picture)


def test_what_it_says():
    """The sentence, the cause, each check, and what was not granted to us."""
    text = to_html(pages()[0])
    for words in ("holds a cycle time of", "36 &lt;disk&gt;: 900", "A squared", "one cause", "a &lt;note&gt;"):
        assert words in text
    assert text.count("<svg") == 6
    assert "does not hold" in to_html(pages()[1])


def test_a_file_brings_no_markup():
    """Its levels neither, which are classes of the page."""
    fact = {"name": "n", "level": '"><script>', "value": "v", "meaning": "m", "fix": ""}
    assert "<script>" not in to_html(replace(pages()[0], machine=(fact,), rights=(fact,)))


def test_counts_are_kept():
    """However bins and columns lie: the sum is the number of cycles, and one cycle stays one."""
    rng = np.random.default_rng(2)
    lows = np.unique(rng.integers(1_000, 90_000, 300)).tolist()
    bars = [(low, low + max(low // 32, 1), int(rng.integers(1, 5_000))) for low in lows]
    spread = Spread.of_bars([*bars, (500_000, 516_000, 1)])
    for count in (30, 200, 900):
        edges = np.linspace(0, 530_000, count)
        found = columns(spread, edges)
        assert found.sum() == pytest.approx(spread.count)
        assert sorted(found[edges[1:] > 400_000])[-1] == 1


def test_nothing_measured_is_no_picture():
    assert "nothing was measured" in latency_plot([("x", Spread.of_bars([]))])
