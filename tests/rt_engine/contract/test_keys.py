import json
import random
import string

import pytest

from rt_engine.contract import Contract, ContractError, Element, TensorContract
from rt_engine.contract.check import Ends
from rt_engine.contract.keys import KEYS, from_keys, to_keys
from rt_engine.contract.tables import MOST_CHARACTERS
from rt_engine.errors import EngineError
from tests.rt_engine.contract.contracts import full

NONE = Ends([], [])
OWN = KEYS[0]
PART = '{{"name": "x{}", "elements": [{{"name": "a"}}]}}'.format


def test_a_contract_comes_back_as_it_was():
    """Whole, and with nothing in it; exactly, to the last bit of each number."""
    for made in (full(), Contract()):
        assert from_keys(to_keys(made), NONE) == made


def test_any_name_comes_back():
    """Halves of characters too, which no UTF-8 file can hold as they are."""
    for name in ("\ud800", "\0", "°", '"', "\n", "\U0001f600"):
        made = Contract((TensorContract(name, (Element(name, name),)),))
        (text,) = to_keys(made).values()
        assert text.isascii() and from_keys({OWN: text}, NONE) == made


def test_parts_have_keys_of_their_own():
    """What only wants names does not parse megabytes of vectors."""
    assert tuple(to_keys(full())) == KEYS
    assert tuple(to_keys(Contract())) == (OWN,)
    assert "vectors" not in json.loads(to_keys(full())[OWN])


def test_without_keys_there_is_no_contract():
    assert from_keys({"author": "me"}, NONE) is None


def test_our_keys_come_before_those_of_others():
    written = to_keys(Contract(rate_hz=5)) | {"koios.training": '{"schema_version": 1, "sample_rate": 1.0}'}
    assert from_keys(written, NONE).rate_hz == 5
    assert from_keys({"koios.training": written["koios.training"]}, NONE).origin == "koios"


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({OWN: ""}, "is no JSON"),
        ({OWN: "[]"}, "is a list; it is a table"),
        ({OWN: "null"}, "is nothing; it is a table"),
        ({OWN: '{"rate_hz": Infinity}'}, "Infinity, which JSON does not know"),
        ({OWN: '{"rate_hz": -Infinity}'}, "-Infinity"),
        ({OWN: '{"rate_hz": 1e999}'}, "rate_hz is inf; it is a finite number"),
        ({OWN: '{"rate_hz": ' + "9" * 400 + "}"}, "a number of too many digits"),
        ({OWN: '{"rate_hz": ' + "9" * 5000 + "}"}, "is no JSON"),
        ({OWN: '{"a":' * 100_000}, "nested too deeply"),
        ({OWN: "[" * 100_000}, "nested too deeply"),
        ({OWN: " " * (MOST_CHARACTERS + 1)}, "the most is"),
        ({OWN: '{"format": 2}'}, "use a newer rt-engine"),
        ({OWN: '{"format": true}'}, "it is a whole number"),
        ({OWN: '{"units": 1}'}, "the key 'units' of rt_engine.contract is not known"),
        ({OWN: '{"scaling": "\\u001b[31m"}'}, r"scaling is '\\x1b\[31m'"),
        ({OWN: '{"state": {"a": 1}}'}, "rt_engine.contract.state.a is 1; it is text"),
        ({OWN: '{"inputs": {}}'}, "inputs is a table; it is a list"),
        ({OWN: '{"inputs": [1]}'}, r"inputs\[0\] is 1; it is a table"),
        ({OWN: '{"inputs": [{}]}'}, r"inputs\[0\] has no 'name'"),
        (
            {OWN: '{"inputs": [{"name": "x", "elements": [{"name": "a", "low": 3, "high": 1}]}]}'},
            r"elements\[0\]: element 'a'",
        ),
        ({OWN: '{"inputs": [{"name": "x", "elements": [{"name": "a", "unitt": "m"}]}]}'}, "'unitt'"),
        ({OWN: '{"inputs": [{"name": "x", "elements": [{"name": "a", "clip": 1}]}]}'}, "true or false"),
        ({OWN: '{"inputs": [{"name": "x", "window": 1.5, "elements": [{"name": "a"}]}]}'}, "whole number"),
        (
            {OWN: "{}", f"{OWN}.statistics": '[{"tensor": "x", "count": 1, "mean": ["a"]}]'},
            r"mean\[0\] is 'a'; it is a finite",
        ),
        ({OWN: "{}", f"{OWN}.statistics": '[{"tensor": "x", "count": 1, "mean": 1}]'}, "mean is 1; it is a list"),
        (
            {OWN: "{}", f"{OWN}.vectors": '[{"inputs": {"x": {"type": "object", "shape": [], "base64": ""}}}]'},
            "type is 'object'",
        ),
        (
            {OWN: "{}", f"{OWN}.vectors": '[{"inputs": {"x": {"type": "int8", "shape": [2], "base64": "AA=="}}}]'},
            "1 bytes",
        ),
        (
            {OWN: "{}", f"{OWN}.vectors": '[{"inputs": {"x": {"type": "int8", "shape": [-1], "base64": "AA=="}}}]'},
            "bytes",
        ),
        (
            {OWN: "{}", f"{OWN}.vectors": '[{"inputs": {"x": {"type": "int8", "shape": [1], "base64": "?"}}}]'},
            "no base64",
        ),
        ({OWN: "{}", f"{OWN}.vectors": '[{"inputs": {"x": [[1, 2], [3]]}}]'}, "lists of equal length"),
        ({OWN: "{}", f"{OWN}.vectors": '[{"inputs": {"x": [["a"]]}}]'}, "no array of numbers"),
        (
            {OWN: "{}", f"{OWN}.vectors": '[{"inputs": {"x": [1]}, "outputs": {}}]'},
            r"vectors\[0\]: a test vector needs",
        ),
        ({OWN: '{"inputs": [' + ",".join(map(PART, range(20_000))) + "]}"}, "20,000 parts"),
        ({f"{OWN}.vectors": "[]"}, "not 'rt_engine.contract', to which it belongs"),
        ({OWN: "{}", f"{OWN}.more": "{}"}, "this version knows"),
    ],
)
def test_what_is_no_contract_is_refused_with_its_place(metadata, words):
    with pytest.raises(ContractError, match=words):
        from_keys(metadata, NONE)


def test_any_text_gives_a_contract_or_an_error_of_ours():
    """Truths with bytes flipped, cut and repeated, in all keys, of others too."""
    chance = random.Random(12)
    truths = to_keys(full()) | {
        "joint_names": "hip,knee",
        "observation_names": "base_lin_vel,joint_pos",
        "observation_terms_clip": "[-inf, inf],[-1, 1]",
        "default_joint_pos": "0.1,0.2",
        "koios.bindings": '{"schema_version": 1, "inputs": [{"name": "a", "binding_order": 1}], "outputs": []}',
        "koios.training": '{"schema_version": 1, "sample_rate": 0.5}',
    }
    for _ in range(2000):
        metadata = {key: mutated(text, chance) for key, text in truths.items() if chance.random() < 0.7}
        try:
            found = from_keys(metadata, NONE)
        except EngineError:
            continue
        assert found is None or isinstance(found, Contract)


def mutated(text, chance):
    for _ in range(chance.randrange(4)):
        at = chance.randrange(len(text) + 1)
        end = min(len(text), at + chance.randrange(20))
        middle = chance.choice(
            ["", text[at:end] * 2, chance.choice(string.printable), "[", "{", "null", "1e400", "NaN", '"']
        )
        text = text[:at] + middle + text[end:]
    return text


def test_a_part_that_says_no_start_follows_the_one_before():
    parts = '{"name": "x", "window": 3, "elements": [{"name": "a"}]}, {"name": "x", "elements": [{"name": "b"}]}'
    found = from_keys({OWN: f'{{"inputs": [{parts}]}}'}, NONE)
    assert [part.start for part in found.inputs] == [0, 3]
    assert all(isinstance(part, TensorContract) for part in found.inputs)
    assert from_keys(to_keys(found), NONE) == found
