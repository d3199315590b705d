import numpy as np
from onnx import TensorProto, helper, numpy_helper

import rt_engine
from rt_engine.run.chosen import Pieces, shape_of, told, with_pieces
from rt_engine.run.context import Context
from rt_engine.run.executable import Executable
from rt_engine.tune import tune
from rt_engine.tune.alternatives import ALTERNATIVES, applicable
from tests import ROOT
from tests.test_layers import arrows


def product(rows=64, depth=16):
    """A model of one product."""
    w = numpy_helper.from_array(np.ones((depth, 16), np.float32), "w")
    ends = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", [rows, depth]), ("y", [rows, 16]))
    ]
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "product", ends[:1], ends[1:], [w])
    return rt_engine.load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9))


def test_every_alternative_of_a_model_gives_the_same_bits():
    program = product().program
    x = np.random.default_rng(0).standard_normal((64, 16)).astype(np.float32)
    found = set()
    for pieces in ALTERNATIVES:
        executable = Executable(program, chosen={shape_of(k, program.records[i]): pieces for i, k in told(program)})
        assert executable.tuned == len(told(program))
        context = Context(executable)
        context.inputs["x"][...] = x
        context.run()
        found.add(context.outputs["y"].tobytes())
    assert len(found) == 1


def test_a_program_keeps_its_own_records():
    """What is chosen goes to a copy: a stored program says nothing of it."""
    program = product().program
    before = program.records.tobytes()
    changed = with_pieces(program, [(i, k, Pieces(24)) for i, k in told(program)])
    assert changed.tobytes() != before == program.records.tobytes()
    assert Executable(program, chosen={}).records is program.records


def test_blocks_that_hold_all_rows_are_no_alternative():
    assert not applicable(product(rows=6).program).any()
    assert applicable(product(rows=64).program).any(axis=1).tolist() == [
        p.block in (6, 24) and not p.cut for p in ALTERNATIVES
    ]


def test_a_measurement_tells_of_its_progress_and_keeps_nothing():
    shares = []
    tuned = tune(product(), 0.05, shares.append)
    assert tuned.records == 1
    assert tuned.rounds >= 9
    assert shares == sorted(shares)
    assert 0 < shares[-1] <= 1
    assert all(row.shape.startswith("gemm_f32 64 16 16") for row in tuned.rows)


def test_a_model_without_a_choice_is_not_measured():
    assert tune(product(rows=1)).rounds == 0


def test_only_the_command_measures():
    """Neither a load nor a running station can start it: nothing else reaches this room."""
    users = {name for name, to in arrows(ROOT).items() if any(t.startswith("rt_engine.tune") for t in to)}
    assert {name for name in users if not name.startswith("rt_engine.tune")} == {"station.commands.tune"}
