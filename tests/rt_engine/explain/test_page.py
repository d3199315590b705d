"""The page of an explanation opens by itself, and shows all of it."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from onnx import helper

import rt_engine
from rt_engine.explain import Label, explain, graph_of
from rt_engine.explain.page import page
from tests.rt_engine.explain import models


class Seen(HTMLParser):
    """Elements, their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.attributes, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def shown() -> str:
    model = rt_engine.load(models.cnn())
    x = np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(np.float32)
    return page(explain(model, {"x": x}), graph_of(model), [("tick", "#12 <b>")])


def test_it_needs_no_network_and_no_script(shown):
    """Pictures are in it; addresses lead to places of it."""
    seen = Seen(shown)
    assert "script" not in seen.tags and "link" not in seen.tags
    for name, value in seen.attributes:
        if name in ("src", "href"):
            assert value.startswith(("data:image/png;base64,", "#"))
    assert "url(" not in shown and "@import" not in shown


def test_every_tensor_is_there_with_a_picture(shown):
    """And every output with what moved it, and where in the image."""
    seen = Seen(shown)
    words = " ".join(seen.words)
    for name in ("x", "c", "s", "p", "y"):
        assert f"'{name} as a heat map'" in str([v for n, v in seen.attributes if n == "alt"])
    assert "y[0]" in words and "y[1]" in words
    assert sum(v == "Effects of the elements of x" for n, v in seen.attributes if n == "alt") == 2


def test_a_page_stays_small():
    """Of a model with many inputs and outputs it has those that count, and says how many it has not."""
    model = rt_engine.load(models.linear(np.ones((500, 100)), np.zeros(100)))
    drawn = page(explain(model, {"x": np.ones((1, 500), np.float32)}), graph_of(model))
    assert "440 inputs did less" in drawn and "52 outputs more: ask for them by name" in drawn
    assert len(drawn) < 2_000_000


def test_the_boxes_of_the_graph_lead_to_tensors(shown):
    """Of their operator."""
    places = set(re.findall(r'id="(r\d+)"', shown))
    assert set(re.findall(r"href='#(r\d+)'", shown)) & places


def test_what_others_wrote_is_no_markup(shown):
    """Facts, names of tensors, tags."""
    assert "#12 &lt;b&gt;" in shown
    nodes = [helper.make_node("Relu", ["<i>x"], ["<script>y"], name="<u>r")]
    model = rt_engine.load(models.model(nodes, {"<i>x": [2]}, {"<script>y": [2]}))
    labels = {"<i>x": {0: Label("<em>tag", "<m>")}}
    drawn = page(explain(model, {"<i>x": np.ones(2, np.float32)}, labels=labels), graph_of(model))
    for markup in ("<i>", "<script", "<u>", "<em>", "<m>"):
        assert markup not in drawn


def test_the_history_of_a_tag_is_a_picture():
    """A row for each tag; and all its samples at once."""
    model = rt_engine.load(models.linear(np.ones((4, 1)), np.zeros(1)))
    labels = {"x": {i: Label("speed" if i < 2 else "level", "m", age=1 - i % 2) for i in range(4)}}
    drawn = page(explain(model, {"x": np.ones((1, 4), np.float32)}, labels=labels), graph_of(model))
    assert "Effects of speed, level (from above), from t-1 to t-0" in drawn
    assert "all samples of a tag at once" in drawn


def test_a_run_that_ended_says_where():
    """Instead of what moved its outputs."""
    model = rt_engine.load(models.choosing())
    drawn = page(explain(model, {"x": np.ones(3, np.float32), "i": np.array([7])}), graph_of(model))
    assert "in choose: nothing behind it was computed" in drawn
