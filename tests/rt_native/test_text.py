"""Text of others is shown so that it steers no terminal, runs in no spreadsheet, and always can be written."""

import csv
import io
import json

import pytest

from rt_native.text import in_cell, in_html, json_safe, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Füllstand 液位 5 µm", "Füllstand 液位 5 µm"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("a\nb\tc\r", r"a\x0ab\x09c\x0d"),
        ("\x9b31m\x7f", r"\x9b31m\x7f"),
        ("gpj.\u202eexe", r"gpj.\u202eexe"),
        ("a\u200bb\u2028", r"a\u200bb\u2028"),
        ("m\udcff.onnx", r"m\xff.onnx"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("", ""),
    ],
)
def test_what_cannot_be_seen_is_an_escape(text, shown):
    assert visible(text) == shown
    assert visible(shown) == shown


def test_every_character_is_shown_so_that_it_can_be_written():
    shown = visible("".join(map(chr, range(0x110000))))
    assert shown.isprintable()
    shown.encode()


def test_line_ends_may_be_kept():
    assert visible("a\nb\x1b", keep="\n") == "a\nb\\x1b"


def test_a_page_holds_neither_markup_nor_controls():
    assert in_html("<b>&\x1b\udcff") == "&lt;b&gt;&amp;\\x1b\\xff"


@pytest.mark.parametrize(
    "formula", ["=1+1", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", '=HYPERLINK("x")', "＝1"]
)
def test_a_spreadsheet_runs_no_cell(formula):
    text = io.StringIO()
    csv.writer(text).writerow([in_cell(formula)])
    assert text.getvalue().lstrip('"').startswith("'")


@pytest.mark.parametrize("plain", ["-5", "+1.5e3", "mm", "", "m/s", "5-3"])
def test_numbers_and_words_stay_as_they_are_in_a_cell(plain):
    assert in_cell(plain) == plain


def test_json_has_no_control_character():
    text = "".join(map(chr, range(0x100)))
    made = json_safe(json.dumps(text))
    assert made.isprintable()
    assert json.loads(made) == text
