"""Conditions on tags: what they mean, cycle by cycle; what is refused, and what it says."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from station.terms.expressions import DEEPEST, MOST_CHARS, ExpressionError, Value, parse

TAGS = {"speed": 1, "valve": 1, "leg": 3, "x-y": 1, "x": 1, "y": 1, "plant.level": 1, "min": 1}


def holds(text, memory=None, **columns):
    """Where it holds, as 0 and 1; `leg` is [cycles, 3]."""
    arrays = {name.replace("__", "-").replace("_of_", "."): np.asarray(c, float) for name, c in columns.items()}
    count = len(next(iter(arrays.values())))

    def values(value):
        array = arrays[value.tag]
        return array[:, value.cell] if array.ndim == 2 else array

    return parse(text, TAGS).holds(values, count, {} if memory is None else memory).astype(int).tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("speed > 2", [0, 0, 1, 1]),
        ("abs(speed) > 2 and valve < 0.5", [0, 0, 1, 0]),
        ("speed > 2 or valve == 1", [1, 0, 1, 1]),
        ("not speed > 2", [1, 1, 0, 0]),
        ("not (speed > 2 and valve)", [1, 1, 1, 0]),
        ("speed + valve * 2 >= 5", [0, 0, 0, 1]),
        ("(speed + valve) * 2 >= 6", [0, 0, 1, 1]),
        ("speed / 0 > 1", [1, 0, 1, 1]),
        ("-speed < -2", [0, 0, 1, 1]),
        ("2 - 1 - 1 == valve", [0, 1, 1, 0]),
        ("max(speed, valve, 2) == 2", [1, 1, 0, 0]),
        ("min * 0 + min(speed, valve) == 1", [1, 0, 0, 1]),
        ("valve", [1, 0, 0, 1]),
        ("valve != true", [0, 1, 1, 0]),
        ("valve == 1e0", [1, 0, 0, 1]),
        ("valve - (speed > 2) == 0", [0, 1, 0, 1]),
    ],
)
def test_what_it_means(text, expected):
    assert holds(text, speed=[1, 0, 3, 4], valve=[1, 0, 0, 1], min=[1, 1, 1, 1]) == expected


def test_the_longest_declared_name_counts_and_blanks_make_a_minus():
    columns = {"x__y": [7, 7], "x": [5, 5], "y": [3, 4], "plant_of_level": [1, 2]}
    assert holds("x-y == 7", **columns) == [1, 1]
    assert holds("x - y == 2", **columns) == [1, 0]
    assert holds("y-x == -2", **columns) == [1, 0]
    assert holds("plant.level-x == -3", **columns) == [0, 1]


def test_elements_of_a_tag():
    assert holds("leg[2] > leg[0]", leg=[[0, 9, 1], [2, 9, 1]]) == [1, 0]
    assert parse("leg[2] > leg[0] or leg[2] > 1", TAGS).values == (Value("leg", 2), Value("leg", 0))


def test_no_number_holds_for_nothing_but_not():
    nan = math.nan
    assert holds("speed", speed=[nan, 1]) == [0, 1]
    assert holds("speed > 0", speed=[nan, 1]) == [0, 1]
    assert holds("finite(speed)", speed=[nan, math.inf]) == [0, 0]
    assert holds("not finite(speed)", speed=[nan, 1]) == [1, 0]


def test_a_change_is_seen_across_calls_and_nan_after_nan_is_none():
    memory = {}
    assert holds("changed(speed)", memory, speed=[1, 1, 2]) == [0, 0, 1]
    assert holds("changed(speed)", memory, speed=[3, 3, math.nan, math.nan]) == [1, 0, 1, 0]
    assert holds("changed(speed) and not changed(valve)", speed=[1, 2, 3], valve=[1, 1, 5]) == [0, 1, 0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sped > 3", 'unknown tag "sped"; did you mean "speed"?'),
        ("leg > 3", "tag leg has 3 values; write leg[0] to leg[2]"),
        ("leg[3] > 3", "there is no leg[3]"),
        ("leg[x] > 3", "expected a whole number at character 5"),
        ("speed >", "expected a tag or a number at character 8, got the end"),
        ("speed > 3 valve", 'expected an end or an operator at character 11, got "valve"'),
        ("(speed > 3", 'expected ")" at character 11, got the end'),
        ("0 < speed < 3", "two comparisons in a row at character 11"),
        ("speed = 3", '"=" at character 7 means nothing here'),
        ("sqrt(speed)", 'unknown function "sqrt"'),
        ("max(speed)", "max() takes 2 to 16 values, got 1"),
        ("abs(speed, 1)", "abs() takes 1 value, got 2"),
        ("1 < 2", "is about no tag"),
        ("", "expected a tag or a number at character 1, got the end"),
        ("(" * 1000 + "speed", f"nested deeper than {DEEPEST}"),
        ("not " * 200 + "speed", f"nested deeper than {DEEPEST}"),
        ("- " * 200 + "speed", f"nested deeper than {DEEPEST}"),
        ("speed" + " " * MOST_CHARS + "> 1", f"at most {MOST_CHARS}"),
        ("__import__(speed)", "unknown function"),
        ("speed.real > 1", 'unknown tag "speed.real"'),
        ("speed > \N{MATHEMATICAL SANS-SERIF DIGIT ONE}", "means nothing here"),
    ],
)
def test_what_is_refused_and_what_it_says(text, words):
    with pytest.raises(ExpressionError) as refused:
        parse(text, TAGS)
    assert words in str(refused.value)


@given(st.text(alphabet="speedvalxy-.0123456789 +*/<>=!()[],notandr", max_size=60))
def test_any_text_is_a_condition_or_refused_with_words(text):
    try:
        condition = parse(text, TAGS)
    except ExpressionError:
        return
    found = condition.holds(lambda value: np.ones(4), 4, {})
    assert found.shape == (4,) and found.dtype == bool
