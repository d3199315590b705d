"""Several threads run one model: the same bits, whoever helps, however late."""

import ctypes
import gc
import threading
import time
from itertools import pairwise

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import rt_engine
from rt_engine.errors import InputError, RunError
from rt_engine.kernels.interface.record import RECORD
from rt_engine.run import fanned
from rt_engine.run.axes import FAMILIES
from rt_engine.run.blocks import NEVER
from rt_engine.run.native import KERNELS
from rt_engine.run.slices_native import MORE, PATIENCE
from rt_engine.run.slicing import forget, slice_runs
from rt_engine.run.team import Helpers, Team
from rt_engine.status import Status
from tests.rt_engine.program.golden_programs import run, stored
from tests.rt_engine.run.cutting import feeds_of, large_models
from tests.waiting import wait_for

_KERNEL = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)


@pytest.fixture
def everything(monkeypatch):
    """Whatever can be cut is cut, however short."""
    monkeypatch.setattr(fanned, "LEAST_MODEL_NS", 0.0)
    monkeypatch.setattr(fanned, "LEAST_RECORD_NS", 1.0)
    monkeypatch.setattr(fanned, "LEAST_PIECE_NS", 50.0)
    monkeypatch.setattr(fanned.Fanned, "pays", lambda self, line_ns: True)


def layers(size=320, layers=6, rows=32):
    """A chain of products, each of which is cut by columns, as there are few rows: 32 x 320 by 320 x 320."""
    rng = np.random.default_rng(0)
    weights = [(rng.standard_normal((size, size)) / 16).astype(np.float32) for _ in range(layers)]
    names = ["x", *(f"t{i}" for i in range(layers - 1)), "y"]
    nodes = [helper.make_node("MatMul", [a, f"w{i}"], [b]) for i, (a, b) in enumerate(pairwise(names))]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [rows, size]) for name in "xy"]
    graph = helper.make_graph(
        nodes, "layers", ends[:1], ends[1:], [numpy_helper.from_array(w, f"w{i}") for i, w in enumerate(weights)]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.fixture(scope="module")
def model():
    return rt_engine.load(layers())


def _joined(model, team):
    context = model.context(1)
    assert team.admit(context) and context.shared == 1.0
    return context


def _bits(context, feeds):
    for name, value in feeds.items():
        context.inputs[name][...] = value
    context.run()
    return b"".join(view.tobytes() for view in context.outputs.values())


def test_golden_programs_give_their_bits_on_any_number_of_threads(everything):
    """Jumps, loops and states too. Every program is run by two threads, every third one by three and four."""
    for number, (program, inputs, outputs) in enumerate(stored().values()):
        for threads in (2, 3, 4)[: 1 if number % 3 else 3]:
            assert run(rt_engine.load(program, threads=threads), inputs) == outputs


def test_large_models_give_the_bits_of_one_thread(everything):
    shared = 0
    for number, (name, proto) in enumerate(large_models()):
        single, several = (rt_engine.load(proto, threads=n) for n in (1, 2 + number % 3))
        feeds, context = feeds_of(single), several.context()
        shared += context.shared > 0
        whole = _bits(single.context(), feeds)
        assert all(_bits(context, feeds) == whole for _ in range(3)), name
    assert shared > 60


def test_a_model_stays_on_one_core_where_others_are_too_far_for_it(model):
    """The same records pay for near cores; the bits are those of one core either way."""
    near, far = Team(2), Team(2, line_ns=1e5)
    alone, feeds = model.context(1), feeds_of(model)
    assert not far.admit(alone) and alone.shared == 0.0 and far.is_too_far(alone)
    assert not near.is_too_far(alone) and _bits(alone, feeds) == _bits(_joined(model, near), feeds)
    short = rt_engine.load(layers(size=16, rows=1)).context(1)
    assert not far.admit(short) and not far.is_too_far(short), "no distance would do"


def test_what_no_helper_begins_is_taken_back(model):
    """A helper that never comes costs time, and is counted."""
    team = Team(3)
    context, feeds = _joined(model, team), feeds_of(model)
    assert _bits(context, feeds) == _bits(model.context(1), feeds)
    seen = team.stats()
    assert seen.fan_outs == seen.alone == 6 and seen.late == 0 and seen.done == (0, 0)
    assert seen.taken_back > 6


def test_helpers_work_and_are_waited_for(model):
    team = Team(2)
    context, feeds = _joined(model, team), feeds_of(model)
    helpers, whole = Helpers(team), _bits(model.context(1), feeds)

    def helped():
        assert _bits(context, feeds) == whole
        return team.stats().done[0] and team.waits.count

    try:
        wait_for(helped)
    finally:
        helpers.stop()
    assert team.stats().late == 0


def _instead(context, function):
    """Let `function(real, arena, piece)` stand for the kernel of all pieces; gives what has to be kept."""
    records = context._fanned.records
    records.setflags(write=True)
    at = next(i for i in range(context._fanned.count, len(records)) if records["spare"][i])
    real = _KERNEL(int(records["spare"][at]))
    callback = _KERNEL(lambda arena, piece: function(real, arena, piece))
    records["spare"][context._fanned.count : -1] = ctypes.cast(callback, ctypes.c_void_p).value
    return callback


def test_a_helper_that_dawdles_ends_the_run_and_then_the_context_rests(model):
    """Until it has let go of its piece; then the bits are right again, and nothing was written behind anybody's back."""
    model = rt_engine.load(layers())
    team, go_on, begun = Team(2, patience_ns=20_000_000), threading.Event(), threading.Event()
    context, feeds = _joined(model, team), feeds_of(model)
    whole = _bits(model.context(1), feeds)

    def slow(real, arena, piece):
        if threading.current_thread().name.startswith("rt-helper"):
            begun.set()
            go_on.wait(30)
        else:
            begun.wait(30)
        return real(arena, piece)

    kept = _instead(context, slow)
    helpers = Helpers(team)
    try:
        with pytest.raises(RunError, match="HELPER_LATE") as raised:
            _bits(context, feeds)
        assert raised.value.status is Status.HELPER_LATE and team.stats().late == 1
        outputs = context.outputs["y"].copy()
        begin = time.monotonic()
        with pytest.raises(RunError, match="HELPER_LATE"):
            context.run()
        assert time.monotonic() - begin < 5 and np.array_equal(outputs, context.outputs["y"])
        other = _joined(model, team)  # another version of the task's model, whose memory nobody has: it runs
        assert _bits(other, feeds) == whole
        go_on.set()
        wait_for(lambda: not team.helpers["busy"].any())
        team.fields["patience_ns"] = 60 * 10**9
        assert _bits(context, feeds) == whole
    finally:
        go_on.set()
        helpers.stop()
    assert kept


def test_waiting_is_bounded_for_a_run_not_for_each_of_its_layers(model):
    """No layer alone is late, all six together are; the next run may wait as long again."""
    model = rt_engine.load(layers())
    team, pause_s, begun = Team(2, patience_ns=300_000_000), [0.1], set()
    context, feeds = _joined(model, team), feeds_of(model)
    whole = _bits(model.context(1), feeds)

    def slow(real, arena, piece):
        fan_out = int(team.fields["claims"][0]) >> 16
        if threading.current_thread().name.startswith("rt-helper"):
            begun.add(fan_out)
            time.sleep(pause_s[0])
        until = time.monotonic() + 30
        while fan_out not in begun and time.monotonic() < until:
            time.sleep(0.001)
        return real(arena, piece)

    kept, helpers = _instead(context, slow), Helpers(team)
    try:
        with pytest.raises(RunError, match="HELPER_LATE"):
            _bits(context, feeds)
        assert team.stats().late == 1
        pause_s[0] = 0.0
        wait_for(lambda: not team.helpers["busy"].any())
        team.fields["patience_ns"] = (
            60 * 10**9
        )  # a busy machine may keep a helper for longer than the patience of before
        assert _bits(context, feeds) == whole and team.fields["resting"][0] == 0
        assert 300_000_000 < team.fields["left_ns"][0] <= team.fields["patience_ns"][0]
    finally:
        helpers.stop()
    assert kept


def test_a_piece_that_fails_ends_the_run_with_its_status(model):
    """Whoever did it."""
    model = rt_engine.load(layers())
    for mine in (True, False):
        team, begun = Team(2), threading.Event()
        context = _joined(model, team)

        def fails(real, arena, piece, mine=mine, begun=begun):
            is_helper = threading.current_thread().name.startswith("rt-helper")
            if is_helper:
                begun.set()
            else:
                begun.wait(30)
            return int(Status.DIVISION_BY_ZERO) if mine is not is_helper else 0

        kept, helpers = _instead(context, fails), Helpers(team)
        try:
            with pytest.raises(RunError, match="DIVISION_BY_ZERO"):
                context.run()
        finally:
            helpers.stop()
        assert kept


def test_a_late_piece_that_fails_is_not_the_next_runs():
    """What it gave is of a run that has ended already."""
    model = rt_engine.load(layers())
    team, go_on, begun = Team(2, patience_ns=20_000_000), threading.Event(), threading.Event()
    context, feeds = _joined(model, team), feeds_of(model)
    whole = _bits(model.context(1), feeds)

    def fails(real, arena, piece):
        if not threading.current_thread().name.startswith("rt-helper"):
            begun.wait(30)
            return real(arena, piece)
        is_late = not go_on.is_set()
        begun.set()
        go_on.wait(30)
        return int(Status.DIVISION_BY_ZERO) if is_late else real(arena, piece)

    kept, helpers = _instead(context, fails), Helpers(team)
    try:
        with pytest.raises(RunError, match="HELPER_LATE"):
            _bits(context, feeds)
        go_on.set()
        wait_for(lambda: not team.helpers["busy"].any())
        assert team.helpers["failed"].any()
        team.fields["patience_ns"] = 60 * 10**9
        begun.clear()  # so that the helper is waited for
        assert _bits(context, feeds) == whole
    finally:
        go_on.set()
        helpers.stop()
    assert kept


def test_whoever_comes_whenever_takes_no_piece_twice(model):
    """Helpers that come, go and come back at random moments, with what they saw before: the bits stay."""
    team = Team(4)
    context, feeds = _joined(model, team), feeds_of(model)
    whole, ends = _bits(model.context(1), feeds), threading.Event()
    help_once = KERNELS.function("help_once")

    def come_and_go(number):
        rng = np.random.default_rng(number)
        while not ends.is_set():
            for _ in range(int(rng.integers(1, 400))):
                help_once(team.address, number)
            time.sleep(float(rng.random()) * 1e-3)

    threads = [threading.Thread(target=come_and_go, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    runs = 0

    def helped():
        nonlocal runs
        assert _bits(context, feeds) == whole
        runs += 1
        return runs >= 150 and all(team.stats().done)

    try:
        wait_for(helped)
    finally:
        ends.set()
        for thread in threads:
            thread.join()
    assert team.stats().fan_outs == 6 * runs


def test_a_claim_of_another_fan_out_is_refused(model):
    """The word of claims never has a value twice, so an old one cannot be exchanged."""
    team = Team(2)
    context, seen = _joined(model, team), set()
    for _ in range(50):
        context.run()
        seen.add(int(team.fields["claims"][0]))
    assert len(seen) == 50 and min(seen) >> 16 == 6 and max(seen) >> 16 == 300


def test_a_short_model_stays_on_one_core():
    """And has no helper."""
    before = set(threading.enumerate())
    short = rt_engine.load(layers(size=16, rows=1), threads=2)
    context = short.context()
    assert context.shared == 0.0 and set(threading.enumerate()) <= before
    context.run()


def test_helpers_end_with_their_context(model):
    before = set(threading.enumerate())
    several = rt_engine.load(layers(), threads=3)
    context = several.context()
    context.run()
    assert sum(thread.name.startswith("rt-helper") for thread in set(threading.enumerate()) - before) >= 2
    del context
    gc.collect()
    assert set(threading.enumerate()) <= before


def test_states_are_written_by_the_thread_itself(everything, monkeypatch):
    """A helper that is late cannot write into what is restored meanwhile. Tanh works in the state's memory, the product does not."""
    nodes = [helper.make_node("Tanh", ["h"], ["h_out"]), helper.make_node("MatMul", ["h_out", "w"], ["y"])]
    w = numpy_helper.from_array(np.random.default_rng(0).standard_normal((96, 96)).astype(np.float32), "w")
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [96, 96]) for name in ("h", "h_out", "y")]
    proto = helper.make_model(
        helper.make_graph(nodes, "g", ends[:1], ends[1:], [w]),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )

    def written():
        """Kernels of the pieces that write into the state, and how many pieces there are."""
        stateful = rt_engine.load(proto, state={"h_out": "h"}, threads=2)
        place, laid = stateful.program.state[0], stateful._executable.fanned(2)
        kernels = stateful.program.kernels
        rows = [
            r for r in laid.records[laid.count : -1] if int(r["kernel"]) < len(kernels)
        ]  # none that stands for others
        pieces = [(kernels[int(r["kernel"])], r) for r in rows]
        ends = [
            (kernel, int(record["operand"][FAMILIES[kernel].fields.places[name].index]))
            for kernel, record in pieces
            for name in FAMILIES[kernel].fields.written
        ]
        return {kernel for kernel, at in ends if place.offset <= at < place.offset + 96 * 96 * 4}, len(pieces)

    found, count = written()
    assert found == set() and count > 1
    monkeypatch.setattr(fanned, "_writes_into", lambda *of: False)
    assert written()[0] == {"tanh_f32"}  # so it would be, were states not looked at


@pytest.mark.parametrize("threads", [0, -1, 9])
def test_a_number_of_threads_that_cannot_be(threads, model):
    with pytest.raises(InputError, match=f"^{threads} threads cannot run one model together; 1 to 8 can$"):
        rt_engine.load(layers(), threads=threads)
    with pytest.raises(InputError):
        model.context(threads)


def test_a_record_and_its_pieces_lie_where_the_record_says(model):
    """Distances are within the records; the first one is done before anything is touched."""
    laid = model._executable.fanned(2)
    assert laid.shared == 6 and laid.count == 6 and (laid.records["kernel"][0] == len(model.program.kernels) + 1)
    for i in range(1, 6):
        count, distance = (int(n) for n in laid.records["size"][i][:2])
        first = i + distance // RECORD.itemsize
        assert distance % RECORD.itemsize == 0 and first >= 6 and first + count <= len(laid.records)


def _in_slices(model, team, feeds):
    """A context whose run is one slice, with this team; and what runs a slice, in which so many nanoseconds are left for helpers."""
    context = model.context(1)
    slice_runs(context, NEVER // 8, group_ns=1, threads=2)
    assert team.admit(context)
    library = context._executable.library
    run, clock = library.function("execute_slice"), library.address("slices_clock")
    for name, value in feeds.items():
        context.inputs[name][...] = value

    def execute(left_ns=0):
        team.fields["until_ns"] = time.monotonic_ns() + left_ns
        return run(context.block_address, clock, 0, NEVER, 1)

    return context, execute


def _outputs(context):
    return b"".join(view.tobytes() for view in context.outputs.values())


@pytest.mark.parametrize("layer", [0, 2])
def test_a_late_helper_ends_a_slice_and_no_run(model, layer):
    """What it has begun is awaited in the next one; whatever the patience, only until the rest of the cycle is needed."""
    model = rt_engine.load(layers())
    team, go_on, begun, counted = Team(2, patience_ns=60_000_000_000), threading.Event(), threading.Event(), []
    feeds = feeds_of(model)
    whole = _bits(model.context(1), feeds)
    context, execute = _in_slices(model, team, feeds)

    def slow(real, arena, piece):
        is_helper, fan_out = (
            threading.current_thread().name.startswith("rt-helper"),
            int(team.fields["claims"][0]) >> 16,
        )
        counted.append(fan_out)
        if is_helper and fan_out >= layer + 1 and not go_on.is_set():
            begun.set()
            go_on.wait(30)
        elif fan_out >= layer + 1:
            begun.wait(30)
        return real(arena, piece)

    kept, helpers = _instead(context, slow), Helpers(team)
    try:
        assert [execute(), execute(1_000)] == [MORE, MORE] and team.stats().late == 2
        go_on.set()
        begun.set()  # on a busy machine a helper was late with a layer before, both times
        team.fields["left_ns"] = team.fields["patience_ns"]
        assert execute(60_000_000_000) == 0
        assert _outputs(context) == whole
        assert len(set(counted)) == 6 and team.stats().late == 2
    finally:
        go_on.set()
        helpers.stop()
    assert kept


def test_in_slices_a_run_does_not_begin_while_a_helper_is_in_one_before(model):
    """That was given up: its piece writes into the memory of the next."""
    model = rt_engine.load(layers())
    team, go_on, begun = Team(2, patience_ns=60_000_000_000), threading.Event(), threading.Event()
    context, execute = _in_slices(model, team, feeds_of(model))

    def slow(real, arena, piece):
        if threading.current_thread().name.startswith("rt-helper"):
            begun.set()
            go_on.wait(30)
        else:
            begun.wait(30)
        return real(arena, piece)

    kept, helpers = _instead(context, slow), Helpers(team)
    try:
        assert execute() == MORE
        forget(context.block_address)
        assert execute() == Status.HELPER_LATE
        assert team.stats().late == 1
    finally:
        go_on.set()
        helpers.stop()
    assert kept


def test_in_slices_a_helper_that_hangs_ends_the_run_at_last():
    """Else outputs stayed as they are for ever, and nobody knew; when it is there again, runs have their bits."""
    model = rt_engine.load(layers())
    team, go_on, begun = Team(2, patience_ns=60_000_000_000), threading.Event(), threading.Event()
    feeds = feeds_of(model)
    whole = _bits(model.context(1), feeds)
    context, execute = _in_slices(model, team, feeds)

    def hangs(real, arena, piece):
        is_helper = threading.current_thread().name.startswith("rt-helper")
        begun.set() if is_helper else begun.wait(30)
        if is_helper:
            go_on.wait(30)
        return real(arena, piece)

    kept, helpers = _instead(context, hangs), Helpers(team)
    try:
        assert [execute() for _ in range(PATIENCE)] == [MORE] * (PATIENCE - 1) + [Status.HELPER_LATE]
        assert execute() == Status.HELPER_LATE  # nor does the next run begin
        go_on.set()
        wait_for(lambda: not team.helpers["busy"].any())
        assert execute(60_000_000_000) == 0 and _outputs(context) == whole
    finally:
        go_on.set()
        helpers.stop()
    assert kept


def test_in_slices_a_piece_that_failed_is_not_forgotten_for_a_late_helper():
    """Gone on with, the run would end well, on what was not computed."""
    model = rt_engine.load(layers())
    team, go_on, begun = Team(2, patience_ns=60_000_000_000), threading.Event(), threading.Event()
    context, execute = _in_slices(model, team, feeds_of(model))

    def fails(real, arena, piece):
        if not threading.current_thread().name.startswith("rt-helper"):
            begun.wait(30)
            return int(Status.DIVISION_BY_ZERO)
        begun.set()
        go_on.wait(30)
        return real(arena, piece)

    kept, helpers = _instead(context, fails), Helpers(team)
    try:
        assert execute() == Status.DIVISION_BY_ZERO and team.stats().late == 1
    finally:
        go_on.set()
        helpers.stop()
    assert kept
