"""Long arrays in JSON, read in pieces."""

import json
import random

import pytest

from plc_bindings.http import numbers
from plc_bindings.http.errors import Refusal
from plc_bindings.http.json_values import exact, quick
from plc_bindings.http.numbers import MOST_BESIDE, read


def whole(value, spans, load):
    """What a text says, its long arrays put back."""
    if isinstance(value, str) and value in spans:
        return [one for piece in spans[value].pieces(load) for one in piece]
    if isinstance(value, dict):
        return {key: whole(one, spans, load) for key, one in value.items()}
    return [whole(one, spans, load) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("count", [10, 2_000, 100_000])
@pytest.mark.parametrize("gap", [",", " , ", ",\n"])
@pytest.mark.parametrize("load", [exact, quick])
def test_it_says_what_json_says(count, gap, load):
    dice = random.Random(count)
    data = gap.join(dice.choice((repr(dice.gauss(0, 1)), str(dice.randrange(-9, 9)), "1e-5")) for _ in range(count))
    text = (
        f'{{"a": "x\\"[1,2,3", "inputs": [{{"name": "[1,", "data": [{data}], "n": [1, 2]}}, {{"data": [ {data} ]}}]}}'
    )
    found, spans = read(text.encode(), load)
    assert whole(found, spans, load) == json.loads(text)
    assert bool(spans) == (count > 1000)


def test_an_array_in_a_string_is_a_string():
    text = json.dumps({"a": "[" + "1," * 30_000 + "1]", "b": [1]}).encode()
    assert read(text) == (json.loads(text), {})


def test_no_piece_is_long():
    _, spans = read(json.dumps({"data": [0.1] * 100_000}).encode())
    (span,) = spans.values()
    assert max(len(piece) for piece in span.pieces(quick)) < 3000


@pytest.mark.parametrize("end", ["1,", ",1", "1,,1", "x", "1 1", "tru", f"1{9000 * ' '},"])
@pytest.mark.parametrize("load", [exact, quick])
def test_what_is_no_json_is_none_in_pieces_either(end, load):
    _, spans = read(f'{{"data": [{"0.25," * 20_000}{end}]}}'.encode())
    (span,) = spans.values()
    with pytest.raises(ValueError, match=r"."):
        list(span.pieces(load))


@pytest.mark.parametrize(
    "value", [[[0.5, 1]] * 50_000, ["a"] * 100_000, "x" * MOST_BESIDE, {str(n): n for n in range(50_000)}]
)
def test_what_is_long_and_no_flat_array_is_refused(value):
    with pytest.raises(Refusal, match="no flat array of numbers") as refused:
        read(json.dumps({"data": value}).encode())
    assert refused.value.status == 413


def test_a_mark_cannot_be_guessed():
    assert len(numbers._MARK) == 32
