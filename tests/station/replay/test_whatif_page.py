"""A comparison as a page."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from station.replay.whatif import OutputTerms
from station.replay.whatif_page import PICTURED, Subject, to_html
from tests.station.replay.cycles import compared, cycles

RAW = np.sin(np.arange(3000) / 50)
SUBJECT = Subject("axis.mcap", (("recording", "axis.mcap"), ("new model", "<b>x</b>")))


def far(count=1):
    old = np.stack([RAW] * count, axis=1)
    new = old.copy()
    new[1234, 0] += 5.0
    outputs = [OutputTerms(f"force[{i}]", "N", low=-1.0, high=1.0, tolerance=0.25) for i in range(count)]
    return compared(cycles(old), cycles(new), *outputs, utc_ns=1_700_000_000_000_000_000)


@pytest.fixture(scope="module")
def html():
    return to_html(SUBJECT, [far()])


def test_it_opens_without_a_network_and_without_a_script(html):
    assert not re.search(r"https?://|<script|<link|@import|url\(", html)


def test_its_elements_are_closed(html):
    open_, void = [], {"meta", "line", "br"}

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag not in void:
                open_.append(tag)

        def handle_startendtag(self, tag, attrs):
            pass

        def handle_endtag(self, tag):
            if tag not in void:
                assert open_.pop() == tag

    Reader().feed(html)
    assert open_ == []


def test_it_has_verdict_figures_pictures_and_the_caveat(html):
    """A trend of the whole, and the moment in which they lay furthest apart."""
    assert '<div class="verdict bad">1 of 3,000 values lie beyond their tolerance' in html
    assert "The recorded inputs are those that the old model" in html
    assert html.count("<svg") == 3
    assert "5 N apart at 1.234 s (2023-11-14 22:13:28.234 UTC)" in html
    assert 'class="limit"' in html


def test_text_of_others_is_no_markup(html):
    assert "<b>x</b>" not in html


def test_of_many_outputs_those_furthest_apart_have_pictures():
    html = to_html(SUBJECT, [far(PICTURED + 3)])
    assert html.count("the whole recording</h3>") == PICTURED
    assert "3 more outputs lie less far apart" in html
    assert "axis: force[0]</h2>" in html


def test_several_tasks_are_told_apart():
    html = to_html(SUBJECT, [far(), far()])
    assert html.count('<div class="verdict bad">axis: 1 of') == 2


def test_outputs_beyond_those_with_trends_have_none_and_are_counted(monkeypatch):
    monkeypatch.setattr("station.replay.whatif.PICTURED", 2)
    html = to_html(SUBJECT, [far(5)])
    assert html.count("the whole recording</h3>") == 2
    assert "3 more outputs" in html
