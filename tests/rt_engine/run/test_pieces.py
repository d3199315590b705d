"""Records that together do what one record does, bit for bit."""

import numpy as np
import pytest

import rt_engine
from rt_engine.kernels.interface.conv import CONV
from rt_engine.kernels.interface.elementwise import BROADCAST
from rt_engine.kernels.interface.gemm import GEMM
from rt_engine.kernels.interface.qgemm import QGEMM
from rt_engine.kernels.interface.record import RECORD
from rt_engine.run.axes import FAMILIES, Axis
from rt_engine.run.pieces import part_of, pieces_of
from tests.rt_engine.program.golden_programs import every_kernel, stored
from tests.rt_engine.run.cutting import bits_of, cut_records, feeds_of, large_models


def _same(model, feeds):
    """The kernels that were cut, after every way to cut has given the bits of the whole."""
    program, cut = model.program, set()
    if {"jump", "loop"} & set(program.kernels):
        return cut
    context = model.context()
    whole = bits_of(context, feeds, program.records)
    for parts in (2, 3, 4, 7):
        for backwards in (False, True):
            records, kernels = cut_records(program, parts, backwards)
            assert bits_of(context, feeds, records) == whole, f"{parts} {kernels}"
            cut |= kernels
    return cut


def test_pieces_of_golden_programs_give_their_bits():
    for program, inputs, _ in stored().values():
        model, at, feeds = rt_engine.load(program), 0, {}
        for spec in model.inputs:
            count = int(np.prod(spec.shape, dtype=int))
            feeds[spec.name] = np.frombuffer(inputs, spec.dtype, count, at).reshape(spec.shape)
            at += feeds[spec.name].nbytes
        _same(model, feeds)


def test_pieces_of_large_records_give_the_bits_of_the_whole():
    """Forwards and backwards, in several numbers of pieces; and every family is cut by some model."""
    cut = set()
    for name, proto in large_models():
        model = rt_engine.load(proto)
        try:
            cut |= _same(model, feeds_of(model))
        except AssertionError as error:
            raise AssertionError(name) from error
    assert {family.fields.name for family in FAMILIES.values()} == {FAMILIES[kernel].fields.name for kernel in cut}


def test_what_can_be_cut_is_a_kernel():
    assert set(FAMILIES) <= every_kernel()


def _record(fields, **values):
    """A record with operands that lie apart, but for those that are given."""
    record = np.zeros(1, RECORD)[0]
    operands = {name: 64 + (i << 20) for i, name in enumerate(fields.places) if fields.places[name].kind == "operand"}
    for name, value in (dict.fromkeys(fields.places, 0) | operands | values).items():
        record[fields.places[name].kind][fields.places[name].index] = value
    return record


CONVOLUTION = {
    "images": 1, "x_pixels": 100, "out_pixels": 100, "taps": 1, "run": 8, "columns": 16, "groups": 1, "x_channels": 8,
    "out_channels": 16,
}  # fmt: skip


def test_a_kernel_that_nobody_knows_is_one_piece():
    record = np.zeros(1, RECORD)[0]
    assert pieces_of("lstm_f32", record, 4) == [record] and pieces_of("relu_f32", record, 4) == [record]


def test_an_output_over_its_input_is_one_piece():
    """It may only be written in order; an addend moves as the output does."""
    assert len(pieces_of("conv_f32", _record(CONV, **CONVOLUTION), 4)) == 4
    inside = _record(CONV, **CONVOLUTION, x=1 << 20, out=(1 << 20) + 640)
    assert len(pieces_of("conv_f32", inside, 4)) == 1
    assert len(pieces_of("conv_f32", _record(CONV, **CONVOLUTION, addend=1 << 21, out=1 << 21), 4)) == 4
    moving = {"rows": 40, "n": 8, "x_row": 0, "x_inner": 1, "y_row": 8, "y_inner": 1, "z": -1}
    assert len(pieces_of("add_f32", _record(BROADCAST, **moving), 4)) == 4
    assert len(pieces_of("add_f32", _record(BROADCAST, **moving, x=1 << 21, out=1 << 21), 4)) == 1


def test_the_smaller_matrix_is_read_by_every_piece():
    """Rows are cut where the weights are small, columns where they are large; weights lie in caches, and count for less."""
    sizes = {"rows": 48, "depth": 64, "columns": 640, "a_row": 64, "splits": 1, "out_row": 640, "batch": 1}
    assert [int(r["size"][2]) for r in pieces_of("gemm_f32", _record(GEMM, **sizes), 2)] == [320, 320]
    sizes |= {"rows": 480}
    assert [int(r["size"][0]) for r in pieces_of("gemm_f32", _record(GEMM, **sizes), 2)] == [240, 240]


def test_offsets_stay_even():
    """The lowest bit of an operand says where it lies."""
    record = _record(QGEMM, rows=99, depth=33, columns=17, a_row=33, out_row=17, mode=1)
    pieces = pieces_of("qgemm", record, 7)
    assert len(pieces) == 7 and not any(int(p["operand"][i]) % 2 for p in pieces for i in (0, 3))


def test_a_piece_that_would_write_among_weights_is_none():
    """Whoever asks for it: an odd byte is no offset in an arena."""
    record = np.zeros((), RECORD)
    with pytest.raises(AssertionError, match="out would be a constant"):
        part_of(QGEMM, record, Axis("rows", {"out": 39}), 25, 50)
