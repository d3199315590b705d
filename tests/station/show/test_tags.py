"""Tags as people see them, and which of them a pattern means."""

import io
import json
import math
from datetime import datetime

import pytest

from rt_native.terminal import Terminal
from station.show.tags import from_json, matching, number_text, sheet, to_json
from station.show.watched import Watched
from tests.station.examples_of import snapshot, tag

NAMES = ["tank.level", "tank.inflow", "temperature", "valve"]


def printed(table, width=160):
    out = Terminal(file=io.StringIO(), width=width)
    out.print(table)
    return [line.rstrip() for line in out.file.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (21.5, "21.5"),
        (65535.0, "65535"),
        (-0.0, "0"),
        (2.35586e-41, "2.35586e-41"),
        (1e20, "1e+20"),
        (1 / 3, "0.333333"),
    ],
)
def test_numbers_are_as_short_as_they_can_be(number, text):
    """Whole numbers with all digits, others with six; what is absurd looks absurd."""
    assert number_text(number) == text


def test_what_is_no_number_is_shown_and_travels_as_text():
    """NaN and infinities: JSON has none, so programs get texts, and our own reader numbers again."""
    bad = (tag("x", math.nan, math.inf, -math.inf, raw="7fc00000"),)
    assert bad[0].value == "nan, inf, -inf"
    plain = to_json(bad)
    assert plain[0]["values"] == ["NaN", "Infinity", "-Infinity"]
    json.dumps(plain, allow_nan=False)
    assert from_json(plain)[0].value == bad[0].value


def test_a_table_shows_value_unit_raw_quality_and_age():
    """Also where the tag is; how many are left out, and how to see them."""
    lines = printed(sheet(snapshot().tags, 297))
    assert lines[2].split("  ") != [""]
    rows = {line.split()[0]: line.split() for line in lines[2:5]}
    assert rows["level"] == ["level", "in", "21.5", "%", "41", "AC", "00", "00", "GOOD", "2.5", "ms", "input", "0"]
    assert rows["force"][-6:] == ["STALE", "2.5", "ms", "holding", "0", "CDAB"]
    assert rows["lost"] == ["lost", "in", "0", "-", "BAD", "never", "MAIN.<lost>"]
    assert lines[5] == "and 297 more tags: rt-engine watch [TAG ...] follows them"


def test_an_array_shows_its_beginning():
    """Four values and eight bytes, and how many there are."""
    one = tag("row", *map(float, range(20)), raw="0001" * 20)
    assert (one.value, one.raw_bytes) == ("0, 1, 2, 3, ... (20 values)", "00 01 00 01 00 01 00 01 ... (40 bytes)")


def test_on_a_narrow_screen_the_value_stays():
    """The address goes first; tag, value, unit and quality stay."""
    lines = printed(sheet(snapshot().tags), 50)
    assert lines[1].split() == ["level", "21.5", "%", "41", "AC", "00", "00", "GOOD", "2.5", "ms"]
    assert any("columns would also show" in line for line in lines)


def test_patterns_mean_tags_in_the_order_of_the_file():
    """A name, a pattern, both, none."""
    assert matching(["tank.*"], NAMES) == ["tank.level", "tank.inflow"]
    assert matching(["valve", "tank.l*"], NAMES) == ["tank.level", "valve"]
    assert matching([], NAMES) == NAMES


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("temprature", 'no tag "temprature"; did you mean "temperature"?'),
        ("level", 'no tag "level"; did you mean "tank.level"?'),
        ("Valve", 'no tag "Valve"; did you mean "valve"?'),
        ("pump*", 'no tag matches "pump*"; there are: tank.level, tank.inflow, temperature, valve'),
    ],
)
def test_a_pattern_that_means_none_names_the_nearest(pattern, message):
    """Misspelt, without its group, in other letters, nothing like it."""
    with pytest.raises(KeyError) as refused:
        matching([pattern], NAMES)
    assert refused.value.args[0] == message


def test_hundreds_of_tags_are_not_all_named():
    """Ten, and how many more there are."""
    with pytest.raises(KeyError, match=r"t0, t1, .*, t9 and 290 more"):
        matching(["pump"], [f"t{n}" for n in range(300)])


def test_least_and_greatest_are_those_that_were_seen():
    """Not NaN, and not what a link had before it read anything."""
    watched = Watched()
    for seen in (
        (tag("x", 0.0, age_ns=None, quality="BAD"), tag("n", math.nan)),
        (tag("x", 3.0), tag("n", math.nan)),
        (tag("x", -1.5), tag("n", math.nan)),
        (tag("x", 2.0), tag("n", math.nan)),
    ):
        watched.see(seen)
    lines = printed(watched.table(10))
    rows = {line.split()[0]: line.split() for line in lines[2:]}
    assert rows["x"][-4:-2] == ["-1.5", "3"]
    assert rows["n"][-4:-2] == ["-", "-"]


def test_a_line_comes_when_something_changed():
    """The first time each tag; then value, bytes or quality; an age alone is no change."""
    watched, when = Watched(), datetime(2026, 1, 2, 3, 4, 5, 678_000)
    told = []
    for seen in (
        (tag("x", 1.0, raw="3f800000", unit="bar"), tag("longer", math.nan)),
        (tag("x", 1.0, raw="3f800000", unit="bar", age_ns=5), tag("longer", math.nan)),
        (tag("x", 2.0, raw="40000000", unit="bar"), tag("longer", math.nan)),
        (tag("x", 2.0, raw="40000000", unit="bar", quality="BAD"), tag("longer", math.nan)),
    ):
        watched.see(seen)
        told.append(list(watched.lines(when)))
    assert told == [
        [
            "03:04:05.678  x       1 bar  raw 3F 80 00 00  GOOD  age 2.5 ms",
            "03:04:05.678  longer  nan  GOOD  age 2.5 ms",
        ],
        [],
        ["03:04:05.678  x       2 bar  raw 40 00 00 00  GOOD  age 2.5 ms  seen 1 to 2"],
        ["03:04:05.678  x       2 bar  raw 40 00 00 00  BAD  age 2.5 ms  seen 1 to 2"],
    ]


def test_more_tags_than_lines():
    """The table says how many are left out, and what to do."""
    watched = Watched()
    watched.see(tuple(tag(f"t{n}", 1.0) for n in range(30)))
    lines = printed(watched.table(10))
    assert lines[-1] == "and 20 more tags: name those to watch"
    assert len(lines) == 13
