"""Contexts in slices: how records become pieces, and that pieces give the bits of a whole run."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import rt_engine
from rt_engine.kernels.interface.control import JUMP, LOOP
from rt_engine.kernels.interface.gemm import GEMM
from rt_engine.kernels.interface.record import RECORD
from rt_engine.program.program import ABSENT
from rt_engine.run.blocks import NEVER, PIECE, SLICES
from rt_engine.run.chains import Chain
from rt_engine.run.fanned import ends_of
from rt_engine.run.slices_native import MORE
from rt_engine.run.slicing import Sliced, borders, by_all, cycles_of, grouped, known, slice_runs, split, walk, why_not
from rt_engine.run.team import Helpers, Team
from tests.rt_engine.run.cutting import feeds_of, large_models

US = 1_000


def test_small_records_are_put_together() -> None:
    """Until they take so long as is wanted; a long one stays alone, and nothing goes over a border."""
    assert list(grouped([1, 1, 1, 9, 1, 1, 5, 1], set(), 3)) == [(0, 3), (3, 4), (4, 6), (6, 7), (7, 8)]
    assert list(grouped([1, 1, 1, 1], {1, 2}, 100)) == [(0, 1), (1, 2), (2, 4)]
    assert list(grouped([], set(), 3)) == []


def test_what_was_not_measured_is_not_taken_for_nothing() -> None:
    """Zero inputs take one branch: each record of the other is a piece of its own, the longer, the larger it is."""
    records = _records(*["add"] * 4)
    records["kernel"] = [0, 1, 1, 0]
    gemm = {"rows": 400, "depth": 400, "columns": 400, "batch": 1}
    for name, value in gemm.items():
        records["size"][1, GEMM.places[name].index] = value
    times = known(("lstm_f32", "gemm_f32"), records, np.array([800, NEVER, NEVER, NEVER]))
    assert times[0] == 900 and times[1] > 1_000 * US and times[2] == times[3] == 5 * US
    assert list(grouped(times, set(), 5 * US)) == [(0, 1), (1, 2), (2, 3), (3, 4)]


def test_what_was_not_measured_is_as_slow_as_what_was() -> None:
    """Not as it would be on the slowest processor: a branch that is guessed too long would be split, and be put off."""
    records = _records(*["add"] * 2)
    for name, value in {"rows": 400, "depth": 400, "columns": 400, "batch": 1}.items():
        records["size"][:, GEMM.places[name].index] = value
    for took in (800 * US, 3_000 * US):
        _, guessed = known(("gemm_f32",), records, np.array([took, NEVER]))
        assert guessed == pytest.approx(took, rel=1e-3)


@pytest.mark.parametrize(
    ("times", "slice_ns", "cycles"),
    [([], 10, 1), ([5, 5], 10, 1), ([5, 6], 10, 2), ([30, 1, 1], 10, 2), ([4] * 5, 8, 3)],
)
def test_cycles_of_a_run(times: list[int], slice_ns: int, cycles: int) -> None:
    """The first piece of a slice always runs, another where it fits."""
    assert cycles_of(times, slice_ns) == cycles


KERNELS = ("add", "jump", "loop")


def _records(*kernels: str, target: int = 0, trips: int = 0, condition: int = ABSENT) -> Any:
    records = np.zeros(len(kernels), RECORD)
    records["operand"] = ABSENT
    for record, kernel in zip(records, kernels, strict=True):
        record["kernel"] = KERNELS.index(kernel)
        fields = {"jump": JUMP, "loop": LOOP}.get(kernel)
        if fields is not None:
            record["size"][fields.places["target"].index] = target
        if fields is LOOP:
            record["size"][LOOP.places["trips"].index] = trips
            record["operand"][LOOP.places["condition"].index] = condition
    return records


def test_a_loop_of_pieces_runs_as_often_as_it_says() -> None:
    """Its body is a piece of its own, so that a run may rest within it."""
    records = _records("add", "add", "add", "loop", "add", target=1, trips=3)
    assert borders(KERNELS, records) == {1, 4}
    pieces = list(grouped([1] * 5, borders(KERNELS, records), 100))
    assert pieces == [(0, 1), (1, 4), (4, 5)]
    assert list(walk(KERNELS, records, pieces)) == [0, 1, 1, 1, 2]


def test_jumps_go_where_they_went_when_records_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records before the target, and behind it, become several."""
    monkeypatch.setattr("rt_engine.run.slicing.pieces_of", lambda kernel, record, parts: [record] * parts)
    records = _records("add", "jump", "add", "add", target=3)
    found = split(KERNELS, records, {0: 3, 2: 2})
    assert found["kernel"].tolist() == [0, 0, 0, 1, 0, 0, 0]
    assert found["size"][3, JUMP.places["target"].index] == 6
    assert split(KERNELS, records, {}) is records


def test_a_loop_that_data_end_is_refused() -> None:
    """With its node, and what helps; one with a fixed number of iterations is not."""
    nodes = [SimpleNamespace(name="decode")]
    of_data = SimpleNamespace(kernels=KERNELS, records=_records("add", "loop", condition=64), nodes=nodes)
    assert "node 'decode'" in why_not(of_data) and "fixed number of iterations" in why_not(of_data)  # type: ignore[arg-type]
    fixed = SimpleNamespace(kernels=KERNELS, records=_records("add", "loop", trips=9), nodes=nodes)
    assert why_not(fixed) == ""  # type: ignore[arg-type]


def _run_in_slices(context: rt_engine.Context, until_ns: int) -> int:
    """Run a context piece by piece where `until_ns` is long over; gives the number of slices."""
    library = context._executable.library
    run, clock = library.function("execute_slice"), library.address("slices_clock")
    slices = 1
    while run(context.block_address, clock, 0, until_ns, 1) == MORE:
        slices += 1
    return slices


@pytest.mark.parametrize("name", ["conv 3x3", "gemm", "lstm"])
def test_a_run_in_slices_has_the_bits_of_a_whole_one(name: str) -> None:
    """Also where records were split; one piece for each slice."""
    proto = dict(_few())[name]
    model = rt_engine.load(proto)
    feeds = feeds_of(model)
    whole, sliced = model.context(), model.context()
    for context in (whole, sliced):
        for key, value in feeds.items():
            context.inputs[key][...] = value
    whole.run()
    found = slice_runs(sliced, 20 * US, group_ns=1)
    assert found.pieces >= len(model.program.records) and found.run_ns > 0
    for key, value in feeds.items():
        sliced.inputs[key][...] = value
    assert _run_in_slices(sliced, 0) == found.pieces
    for key, value in whole.outputs.items():
        assert np.array_equal(value, sliced.outputs[key])


def _few() -> Any:
    models = list(large_models())
    conv = next(proto for name, proto in models if "conv" in name.lower())
    yield "conv 3x3", conv
    yield "gemm", next(proto for name, proto in models if "gemm" in name.lower() or "matmul" in name.lower())
    steps, features, hidden = 20, 8, 16
    random = np.random.default_rng(3)
    weights = {"W": (1, 4 * hidden, features), "R": (1, 4 * hidden, hidden), "B": (1, 8 * hidden)}
    initial = [numpy_helper.from_array(random.normal(0, 0.3, s).astype(np.float32), n) for n, s in weights.items()]
    node = helper.make_node("LSTM", ["x", "W", "R", "B"], ["y"], hidden_size=hidden)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [steps, 1, features])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [steps, 1, 1, hidden])
    graph = helper.make_graph([node], "g", [x], [y], initial)
    yield "lstm", helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_a_record_that_cannot_be_split_is_named() -> None:
    """With its layer, its operator, its time, and the slice that would do."""
    model = rt_engine.load(dict(_few())["conv 3x3"])
    context = model.context()
    found = slice_runs(context, 1)  # no record takes a nanosecond
    assert found.too_long and found.cycles == found.pieces
    node = found.too_long[0]
    assert node.layer in found.complaint and node.operator in found.complaint and "a slice from" in found.complaint
    assert "beside a live version none is begun" in found.never_beside(NEVER)
    whole = slice_runs(context, NEVER // 4)
    assert (whole.complaint, whole.never_beside(NEVER)) == ("", "")


@pytest.mark.parametrize(
    ("surely", "rest", "says"),
    [
        (300, 400, ""),
        (300, 300, ""),
        (301, 300, "longer than the 300 us that it leaves of a cycle at most: a longer cycle suffices"),
        (301, -5, "longer than the 0 us that it leaves"),
        (501, 600, "longer than the slice of 500 us: a slice from 626 us on suffices"),
    ],
)
def test_beside_a_live_version_nothing_is_begun_that_the_rest_of_a_cycle_does_not_hold(
    surely: int, rest: int, says: str
) -> None:
    """Of which nothing may be left; the slice is the other limit."""
    found = Sliced(500 * US, 1_200 * US, 9, 0, surely * US, surely * US, 3, 1, ())
    assert found.shortest_ns == 200 * US
    assert (says in found.never_beside(rest * US)) if says else not found.never_beside(rest * US)


def test_a_piece_that_is_put_off_forgets_what_it_took_once() -> None:
    """A part of what is beyond its measure, each time; not below it."""
    model = rt_engine.load(dict(_few())["lstm"])
    context = model.context()
    slice_runs(context, 1_000 * US, group_ns=1)
    pieces = context._kept["slices"].view(PIECE, SLICES.itemsize, 2)
    pieces["most_ns"][0], pieces["base_ns"][0] = 16_000_100, 100
    library = context._executable.library
    run, clock = library.function("execute_slice"), library.address("slices_clock")
    assert run(context.block_address, clock, 0, 0, 0) == MORE
    assert int(pieces["most_ns"][0]) == 15_500_100


def test_a_branch_that_was_not_taken_refuses_no_shadow(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it takes is a guess, and it may never run."""
    monkeypatch.setattr("rt_engine.run.slicing.unseen", lambda *of: 1_000_000 * US)

    def branch(name: str) -> onnx.GraphProto:
        of = helper.make_tensor_value_info(name, TensorProto.FLOAT, [64])
        return helper.make_graph([helper.make_node("Exp" if name == "taken" else "Log", ["x"], [name])], name, [], [of])

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [64]) for name in "xy"]
    wanted = helper.make_tensor_value_info("other", TensorProto.BOOL, [])
    node = helper.make_node("If", ["other"], ["y"], then_branch=branch("asked"), else_branch=branch("taken"))
    graph = helper.make_graph([node], "g", [ends[0], wanted], ends[1:])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    found = slice_runs(rt_engine.load(proto).context(), 50_000 * US)
    assert found.longest_ns >= 1_000_000 * US > 50_000 * US > found.surely_ns > 0
    assert found.never_beside(NEVER) == ""


def test_what_threads_do_together_is_one_piece() -> None:
    """The first of a span takes the share of one core, and nobody rests within it."""
    times = by_all([4, 30, 30, 40, 4], [(1, 4)], 2)
    assert times == [4, 50, 0, 0, 4]
    assert list(grouped(times, {4}, 2, inside={2, 3})) == [(0, 1), (1, 4), (4, 5)]


def test_what_is_cut_together_is_no_longer_than_a_slice() -> None:
    """A strip ends there; a convolution of many blocks becomes several chains."""
    assert ends_of([3, 3, 3, 9, 1], 6) == {2, 3, 4} and ends_of([3] * 9, math.inf) == set()
    chain = Chain(2, 8, ("in", "product", "out"), np.arange(6))  # type: ignore[arg-type]
    assert [(part.first, part.end, part.records.tolist()) for part in chain.within([1] * 8, 4)] == [
        (2, 5, [0, 1, 2]),
        (5, 8, [3, 4, 5]),
    ]
    assert [(part.first, part.end) for part in chain.within([1] * 8, 6)] == [(2, 8)]


@pytest.mark.parametrize("threads", [2, 3])
def test_slices_of_several_threads_have_the_bits_of_one(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    """With a helper that works, and without one; what is cut is cut finer than a slice."""
    for name, value in {"LEAST_MODEL_NS": 0.0, "LEAST_RECORD_NS": 1.0, "LEAST_PIECE_NS": 50.0}.items():
        monkeypatch.setattr(f"rt_engine.run.fanned.{name}", value)
    monkeypatch.setattr("rt_engine.run.fanned.Fanned.pays", lambda self, line_ns: True)
    shared, split_ones = 0, 0
    for number, (name, proto) in enumerate(large_models()):
        if number % 3 != threads % 3 and name not in ("winograd four", "conv in groups"):
            continue
        model = rt_engine.load(proto)
        feeds, whole, sliced = feeds_of(model), model.context(), model.context()
        for key, value in feeds.items():
            whole.inputs[key][...] = value
        whole.run()
        found = slice_runs(sliced, 20 * US, group_ns=1, threads=threads)
        shared, split_ones = shared + (found.threads == threads), split_ones + (found.split > 0)
        team = Team(threads)
        assert team.admit(sliced) == (found.threads > 1) and team.threads == threads
        helpers = Helpers(team)
        try:
            for _ in range(2):
                for key, value in feeds.items():
                    sliced.inputs[key][...] = value
                for value in sliced.outputs.values():
                    value[...] = np.zeros((), value.dtype)
                assert _run_in_slices(sliced, 0) == found.pieces, name
                for key, value in whole.outputs.items():
                    assert value.tobytes() == sliced.outputs[key].tobytes(), name
        finally:
            helpers.stop()
    assert shared > 10 and split_ones > 5


def test_slices_are_laid_out_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """For one core and for several in turns, the bits of a whole run each time."""
    monkeypatch.setattr("rt_engine.run.fanned.LEAST_MODEL_NS", 0.0)
    monkeypatch.setattr("rt_engine.run.fanned.Fanned.pays", lambda self, line_ns: line_ns < 1e5)
    model = rt_engine.load(dict(large_models())["winograd four"])
    context, whole, feeds = model.context(), model.context(), feeds_of(model)
    for of in (context, whole):
        for key, value in feeds.items():
            of.inputs[key][...] = value
    whole.run()
    for threads in (2, 1, 3, 1):
        found = slice_runs(context, 30 * US, threads=threads)
        assert (found.threads, context.shared > 0) == (threads, threads > 1)
        for key, value in feeds.items():
            context.inputs[key][...] = value
        _run_in_slices(context, 0)
        assert all(np.array_equal(value, context.outputs[key]) for key, value in whole.outputs.items())
    found = slice_runs(context, 30 * US, threads=2, line_ns=1e5)
    assert found.threads == 1 and not context.shared and not Team(2, line_ns=1e5).admit(context), "cores are too far"
