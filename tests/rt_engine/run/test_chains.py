"""Winograd's convolutions are cut as a whole: each piece all three steps, of its own tiles, in memory of its own."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import rt_engine
from rt_engine.measure.profile import record_times
from rt_engine.run import chains
from rt_engine.run.chains import chains_of
from rt_engine.run.context import Context
from rt_engine.run.stepping import stepped
from rt_engine.run.team import Team
from tests.rt_engine.run.cutting import feeds_of


def layers(channels=32, size=40, count=3):
    """Convolutions of 3x3, each with what it was given added."""
    w, nodes, before = np.random.default_rng(0).standard_normal((channels, channels, 3, 3)) / 32, [], "x"
    for i in range(count):
        after = "y" if i == count - 1 else f"t{i}"
        nodes += [
            helper.make_node("Conv", [before, "w"], [f"c{i}"], pads=[1] * 4),
            helper.make_node("Add", [f"c{i}", before], [after]),
        ]
        before = after
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, channels, size, size]) for n in "xy"]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [numpy_helper.from_array(w.astype(np.float32), "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.fixture(scope="module")
def model():
    return rt_engine.load(layers())


def _found(model):
    return list(chains_of(model.program, model.program.records))


def test_a_convolution_is_one_fan_out(model):
    """Of many records; with the bits of one core, in whichever order and memory its pieces are."""
    found, team = _found(model), Team(2)
    assert len(found) == 3 and all(chain.end - chain.first > 3 for chain in found)
    context, feeds = Context(model._executable), feeds_of(model)
    assert team.admit(context) and context.shared > 0.9
    single = model.context(1)
    for run in (context, single, context):
        run.inputs["x"][...] = feeds["x"]
        run.run()
    assert context.outputs["y"].tobytes() == single.outputs["y"].tobytes()
    assert team.stats().fan_outs < 12


def test_pieces_hold_every_tile_once_and_share_no_memory(model):
    for chain in _found(model):
        for parts in (2, 3, 5, 64):
            pieces, nbytes = chain.pieces(parts)
            assert 1 < len(pieces) <= parts
            tiles = [sum(int(step.record["size"][0]) for step in piece[::3]) for piece in pieces]
            assert sum(tiles) == sum(chain.tiles) and min(tiles) > 0
            own = [{int(step.record["operand"][at]) for step in piece for at in step.own} for piece in pieces]
            each = nbytes // len(pieces)
            assert all(i * each <= at < (i + 1) * each for i, places in enumerate(own) for at in places)


def test_contexts_do_not_share_the_memory_of_their_pieces(model):
    teams, contexts = [Team(2), Team(2)], [Context(model._executable) for _ in range(2)]
    assert all(team.admit(context) for team, context in zip(teams, contexts, strict=True))
    one, other = (context._fanned.memory for context in contexts)
    assert one.address != other.address and one.nbytes == other.nbytes > 0


def test_what_looks_at_records_knows_of_chains(model):
    """A profile has all functions that stand for records, and the memory of pieces; to step is to run the program's own records."""
    context, feeds, team = Context(model._executable), feeds_of(model), Team(2)
    assert team.admit(context)
    own = context._fanned.memory
    assert (own.address, own.nbytes) in context.memory()
    assert {int(kernel) for kernel in context._fanned.table.view(np.int64, 0, len(context.code()) - 1)} < {
        *context.code()
    }
    assert int(context._fanned.records["kernel"].max()) < len(context.code()) - 1
    context.inputs["x"][...] = feeds["x"]
    times = record_times(context, 0.01)
    for chain in _found(model):  # each of its records has a part of the time, the product the most of a block
        assert (times[chain.first : chain.end] > 0).all() and np.argmax(times[chain.first : chain.first + 3]) == 1
    wanted = context.outputs["y"].tobytes()
    context.outputs["y"][...] = 0
    context.inputs["x"][...] = feeds["x"]
    assert [at for at, _ in stepped(context)] == list(range(len(model.program.records)))
    assert context.outputs["y"].tobytes() == wanted


def test_an_output_over_its_input_is_no_chain(model):
    """One tile's output may be another tile's input."""
    records = model.program.records.copy()
    chain = _found(model)[0]
    place = chains.WINOGRAD_OUT.places["out"].index
    records["operand"][chain.first + 2 : chain.end : 3, place] = chain.named(0).x
    assert len(list(chains_of(model.program, records))) == 2
    records["operand"][chain.first + 2 : chain.end : 3, place] = chain.named(0).x + 64
    assert len(list(chains_of(model.program, records))) == 2


@pytest.mark.parametrize(
    ("blocks", "borders"),
    [
        ([24, 24, 24, 24], [0, 48, 96]),
        ([13, 12], [0, 13, 25]),
        ([20] * 5, [0, 50, 100]),
        ([24], [0, 12, 24]),
        ([3], [0, 3]),
    ],
)
def test_borders_leave_blocks_whole_where_that_is_quicker(blocks, borders):
    assert chains._borders(blocks, 2) == borders
