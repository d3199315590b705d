from dataclasses import replace

import pytest

from rt_engine.contract import Contract, ContractError, Element, TensorContract
from rt_engine.contract.check import Ends, Tensor, check
from rt_engine.contract.toml import from_toml, merged, template, to_toml
from tests.rt_engine.contract.contracts import full

ENDS = Ends([Tensor("x", (None, 2)), Tensor("image", (1, 3, 640, 640)), Tensor("open", (1, None))], [Tensor("y", (1,))])


def test_what_is_printed_is_read():
    """All but statistics and vectors, exactly."""
    written = replace(full(), statistics=(), vectors=())
    assert merged(None, from_toml(to_toml(full(), "m.onnx"), "c.toml"), "c.toml") == written


@pytest.mark.parametrize(
    "name", ['a "quoted" name', "back\\slash", "line\nend", "\x7f\x00", "Ä°", "# no comment", "'''"]
)
def test_any_name_survives(name):
    made = Contract((TensorContract(name, (Element(name, name, low=-1e-300),)),), state={name: name})
    assert merged(None, from_toml(to_toml(made, name), "c.toml"), "c.toml") == made


def test_parts_survive():
    parts = TensorContract("x", (Element("a"),), 3, 2), TensorContract("x", (Element("b"),), 1, 1, start=3)
    made = Contract(parts)
    assert merged(None, from_toml(to_toml(made, "m"), "c.toml"), "c.toml") == made


def test_a_template_fits_its_model():
    """As it is; what has too many elements, or an unknown number, is left out, and said."""
    text = template(ENDS, "m.onnx")
    made = merged(None, from_toml(text, "c.toml"), "c.toml")
    check(made, ENDS, "m.onnx")
    assert [e.name for e in made.elements("x")] == ["x[0]", "x[1]"] and [e.name for e in made.elements("y")] == ["y"]
    assert "# image: 1228800 elements are too many" in text and "# open: an unknown number of" in text


def test_every_hint_of_a_template_may_be_taken():
    """What it has in comments is right when the # goes."""
    lines = template(ENDS, "m.onnx").splitlines()
    taken = [line.removeprefix("# ") if " = " in line.split(":")[0] else line for line in lines]
    made = merged(None, from_toml("\n".join(taken), "c.toml"), "c.toml")
    assert (made.rate_hz, made.state, made.provenance.commit) == (50, {"h_out": "h_in"}, "4f2a91c")


def test_what_is_not_said_stays_as_it_was():
    """A top-level key replaces its own, and no other."""
    made = merged(full(), from_toml("rate_hz = 100\n[provenance]\nname = 'other'", "c.toml"), "c.toml")
    assert made == replace(full(), rate_hz=100.0, provenance=made.provenance)
    assert (made.provenance.name, made.provenance.version) == ("other", "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = 1\nrate_hz = [1 2]", r"c.toml is no TOML: .*line 2"),
        ("a = " + "[" * 100_000, "nested too deeply|no TOML"),
        ("rate_hz = nan", "c.toml.rate_hz is nan; it is a finite number"),
        ("rate = 5", "the key 'rate' of c.toml is not known"),
        ("created = 2026-11-28", "the key 'created'"),
        ("[provenance]\ncreated = 2026-11-28", "created is a date; it is text"),
        (
            "[[inputs]]\nname = 'x'\nelements = [{ name = 'a', high = inf }]",
            "where there is no limit, leave the key out",
        ),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(text, words):
    with pytest.raises(ContractError, match=words):
        merged(None, from_toml(text, "c.toml"), "c.toml")
