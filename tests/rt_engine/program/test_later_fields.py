"""A field that came after its kernel is named in programs that use it: who does not know it refuses them, and takes all others."""

from dataclasses import replace

import numpy as np
import pytest

import rt_engine
from rt_engine.errors import ProgramFileError
from rt_engine.kernels.interface.conv import CONV
from rt_engine.kernels.interface.later import HINTS, KNOWN, LATER, used
from rt_engine.kernels.interface.record import RECORD
from rt_engine.program import rtp_file
from rt_engine.program.rtp_writer import to_bytes
from tests.plc_bindings.c.models import MODELS
from tests.rt_engine.program.born import born, families, now

FAMILIES = {fields.name: fields for fields in families()}
MEND = "a new field of an old kernel goes behind the others, is optional, and is listed in rt_engine/kernels/interface/later.py"


def test_every_field_was_there_from_the_beginning_or_is_said_to_have_come_later():
    """A new family: python -m tests.rt_engine.program.born."""
    known = born()
    assert known.keys() == FAMILIES.keys()
    assert {n: now(f) for n, f in FAMILIES.items() if now(f) != known[n]} == {}, MEND


def test_a_field_that_nobody_listed_is_noticed():
    """Behind the others, or in a place that was not used."""
    for name, column, text in (("conv", "params", "surprise?"), ("softmax", "sizes", "surprise?")):
        fields = FAMILIES[name]
        changed = replace(fields, **{column: f"{getattr(fields, column)} {text}"})
        assert now(fields) == born()[name] != now(changed)
    gap = FAMILIES["map"]
    assert now(replace(gap, sizes=gap.sizes.replace("-", "surprise?", 1))) != born()["map"]


@pytest.mark.parametrize("family", sorted(LATER.keys() | HINTS.keys()))
def test_a_later_field_may_be_left_out(family):
    """And each stands behind those that the family began with, so that their places are what they were."""
    fields, names = FAMILIES[family], f"{LATER.get(family, '')} {HINTS.get(family, '')}".split()
    assert all(fields.places[name].optional for name in names)
    for place in (fields.places[name] for name in names):
        first = [fields.places[n] for n in fields.places if n not in names and fields.places[n].kind == place.kind]
        assert all(other.index < place.index for other in first)


@pytest.mark.parametrize("value", [1.0, -1.0, np.nan])
def test_a_record_that_has_one_uses_it(value):
    """Of the kernels whose it is, in any record; 0 is left out."""
    records = np.zeros(4, RECORD)
    records["operand"], records["kernel"] = -1, [0, 1, 1, 0]
    of = {"relu": FAMILIES["softmax"], "conv": CONV}
    records["param"][0, CONV.places["panel"].index] = value
    assert used(records, ("relu", "conv"), of) == ()
    records["param"][2, CONV.places["panel"].index] = value
    assert used(records, ("relu", "conv"), of) == ("conv.panel",)


def test_programs_name_what_they_use():
    """Bytes in lines do, trees do not; a file keeps it, and has the same bytes when it is written again."""
    assert MODELS["trees"]().program.later == ()
    program = MODELS["int8-cnn"]().program
    assert {"qdepthwise.count", "qmax_pool.offsets"} <= set(program.later) <= KNOWN
    data = to_bytes(program)
    again = rtp_file.read(data)
    assert (again.kernels, again.later) == (program.kernels, program.later) and to_bytes(again) == data


def test_a_field_that_this_version_does_not_know_is_refused_by_its_name(monkeypatch):
    """As an engine from before it refuses it; a damaged list of names is one of those."""
    data = to_bytes(MODELS["int8-cnn"]().program)
    monkeypatch.setattr(rtp_file, "KNOWN", KNOWN - {"qdepthwise.count"})
    with pytest.raises(ProgramFileError, match=r"fields of records .* does not know: 'qdepthwise\.count'; compile"):
        rt_engine.load(data)
