"""What callers give that is nothing we take, and where a model may travel: to another process, into a copy."""

import copy
import pickle
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import onnx_ir
import onnxruntime
import pytest

import rt_engine
from benchmarks.models import mlp
from rt_engine.errors import (
    EngineError,
    InputError,
    InterfaceError,
    ModelFileError,
    Reason,
    RunError,
    ShapeBindingError,
    StateError,
    UnsupportedModelError,
)
from rt_engine.program.rtp_writer import to_bytes
from rt_native.version import TEXT
from tests import ROOT

PROTO = mlp([16, 8, 4], "Tanh")
MODEL = rt_engine.load(PROTO)
X = np.random.default_rng(0).standard_normal((1, 16)).astype(np.float32)
(Y,) = MODEL.run({"x": X})


def stateful():
    """y = x + h, which becomes h."""
    from onnx import helper

    nodes = [helper.make_node("Add", ["x", "h"], ["n"]), helper.make_node("Identity", ["n"], ["y"])]
    ends = [helper.make_tensor_value_info(name, 1, [2]) for name in ("x", "h", "n", "y")]
    proto = helper.make_model(
        helper.make_graph(nodes, "g", ends[:2], ends[2:]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    return rt_engine.load(proto, state={"n": "h"}, initial={"h": [5.0, 6.0]})


def test_the_version_is_known():
    assert rt_engine.__version__ == TEXT


def test_all_that_is_public_is_there():
    assert all(hasattr(rt_engine, name) for name in rt_engine.__all__)


def test_inputs_are_assigned_as_a_whole():
    """The arrays are copied into the views, which stay; the next run uses them."""
    context = MODEL.context()
    view = context.inputs["x"]
    context.inputs = {"x": X.astype(np.float64)}
    context.run()
    assert context.inputs["x"] is view
    assert context.outputs["y"].tobytes() == Y.tobytes()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, r"missing input 'x'; the inputs are x: float32\[1, 16\]"),
        ({"x": X, "z": X}, "unknown input 'z'"),
        ({"x": X[0]}, r"takes float32\[1, 16\], got float32\[16\]"),
        ({"x": "abc"}, "takes float32"),
        ({"x": [[1.0], [2.0, 3.0]]}, "a list that is no array"),
        (X, "dictionary of name -> array, got a ndarray"),
        (None, "got a NoneType"),
    ],
)
def test_inputs_that_do_not_fit_change_nothing(values, message):
    """Assigned or given to `run`: a sentence."""
    context = MODEL.context()
    context.inputs = {"x": X}
    with pytest.raises(InputError, match=message):
        context.inputs = values
    with pytest.raises(InputError, match=message):
        MODEL.run(values)
    assert np.array_equal(context.inputs["x"], X)


def test_one_input_that_does_not_fit_leaves_all_as_they_were():
    from onnx import helper

    ends = [helper.make_tensor_value_info(name, 1, [2]) for name in ("a", "b", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["a", "b"], ["y"])], "g", ends[:2], ends[2:])
    context = rt_engine.load(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    ).context()
    with pytest.raises(InputError, match="input 'b'"):
        context.inputs = {"a": [1.0, 2.0], "b": [1.0]}
    assert context.inputs["a"].tolist() == [0.0, 0.0]


def test_one_tensor_is_checked_as_it_is_assigned():
    """A number goes to all elements; another shape, type or number that it cannot hold is refused, in words."""
    context = MODEL.context()
    context.inputs["x"] = 2
    assert (context.inputs["x"] == 2).all()
    for wrong in (np.ones((1, 3)), 1j, "text", [[1.0], [2.0, 3.0]]):
        with pytest.raises(InputError, match="tensor 'x' takes float32"):
            context.inputs["x"] = wrong


def test_outputs_are_not_assigned():
    context = MODEL.context()
    with pytest.raises(InputError, match="what its last run gave"):
        context.outputs = {"y": Y}
    context.outputs |= {"y": Y}  # an operator that writes into the views: harmless
    with pytest.raises(AttributeError):
        context.input = {"x": X}  # a slip of the pen is not taken in silence


def test_the_state_is_assigned_as_a_whole():
    context = stateful().context()
    context.state = {"h": [1.0, 2.0]}
    context.inputs = {"x": [10.0, 10.0]}
    context.run()
    assert context.outputs["y"].tolist() == [11.0, 12.0]
    with pytest.raises(InputError, match="missing state 'h'"):
        context.state = {}


def test_run_begins_each_time_at_the_initial_state():
    """Though it keeps its context; a state that is fed holds for that run."""
    model = stateful()
    for _ in range(3):
        assert model.run({"x": [1.0, 1.0]})[1].tolist() == [6.0, 7.0]
    assert model.run({"x": [1.0, 1.0], "h": [0.0, 0.0]})[1].tolist() == [1.0, 1.0]
    assert model.run({"x": [1.0, 1.0]})[1].tolist() == [6.0, 7.0]
    with pytest.raises(InputError, match="got a list"):
        model.run([1.0, 1.0])


def test_help_tells_inputs():
    for name in ("inputs", "outputs", "state"):
        assert getattr(rt_engine.Context, name).__doc__
        assert getattr(rt_engine.Model, name).__doc__


def test_many_samples_given_to_run_are_sent_to_map():
    with pytest.raises(InputError, match=r"got float64\[100, 16\]; for many samples there is `model.map`"):
        MODEL.run({"x": np.ones((100, 16))})


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"x": X}, "a dict is no model: give the path of an .onnx or .rtp file"),
        (X, "a ndarray is no model"),
        (None, "a NoneType is no model"),
        (BytesIO(b"x"), "a BytesIO is no model"),
        (MODEL, "loaded already"),
        (onnx_ir.from_proto(PROTO), r"onnx_ir.to_proto"),
        (onnxruntime.InferenceSession(PROTO.SerializeToString()), "the file that it was made from"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_model_is_told_what_is(source, message):
    for take in (rt_engine.load, lambda it: rt_engine.quantize(it, {})):
        with pytest.raises(ModelFileError, match=message):
            take(source)


@pytest.mark.parametrize(
    ("module", "help"),
    [
        ("torch.nn.modules.module", "an example of its input"),
        ("sklearn.base", "an example of its input"),
        ("xgboost.core", "onnxmltools"),
        ("keras.src.models.model", "tf2onnx"),
        ("catboost.core", "save_model"),
    ],
)
def test_models_of_frameworks_are_told_how_they_become_onnx(module, help):
    kind = type("Net", (type("Base", (), {"__module__": module}),), {})
    with pytest.raises(ModelFileError, match=f"a Net is no ONNX model: .*{help}"):
        rt_engine.load(kind())


def test_whatever_holds_a_path_or_bytes_is_taken(tmp_path):
    class Named:
        def __fspath__(self):
            return str(tmp_path / "model.onnx")

    data = PROTO.SerializeToString()
    (tmp_path / "model.onnx").write_bytes(data)
    for source in (Named(), bytearray(data), memoryview(data)):
        assert rt_engine.load(source).run({"x": X})[0].tobytes() == Y.tobytes()


@pytest.mark.parametrize("given", ["model.onnx", PROTO, None, {"x": X}], ids=lambda value: type(value).__name__)
def test_a_slot_takes_loaded_models_alone(given):
    """A path is not loaded behind the caller's back: it would be compiled while tasks wait for the answer."""
    slot = rt_engine.ModelSlot(MODEL)
    for take in (slot.update, slot.check, rt_engine.ModelSlot):
        with pytest.raises(InterfaceError, match=r"rt_engine\.load makes one of a file"):
            take(given)
    assert slot.version == 1


def test_a_pickled_model_is_the_same():
    """Bits, name, hash, classes, states and what they begin at."""
    data = PROTO.SerializeToString()
    model = rt_engine.load(data)
    again = pickle.loads(pickle.dumps(model))
    assert (again.name, again.sha256, again.inputs) == (model.name, model.sha256, model.inputs)
    assert again.run({"x": X})[0].tobytes() == Y.tobytes()
    assert again.sha256 != ""
    other = pickle.loads(pickle.dumps(stateful()))
    assert other.run({"x": [0.0, 0.0]})[1].tolist() == [5.0, 6.0]


def test_another_process_runs_a_pickled_model(tmp_path):
    (tmp_path / "model.pickle").write_bytes(pickle.dumps((MODEL, X)))
    code = "import pickle, sys; m, x = pickle.load(open(sys.argv[1], 'rb')); print(m.run({'x': x})[0].tobytes().hex())"
    command = [sys.executable, "-c", code, str(tmp_path / "model.pickle")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == Y.tobytes().hex()


def test_a_copied_model_is_itself():
    assert copy.copy(MODEL) is copy.deepcopy(MODEL) is MODEL


@pytest.mark.parametrize("thing", [MODEL.context(), rt_engine.ModelSlot(MODEL)], ids=lambda thing: type(thing).__name__)
@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
def test_what_belongs_to_this_process_is_not_copied(thing, copied):
    with pytest.raises(TypeError, match=r"of this process.*its model"):
        copied(thing)


def test_a_contexts_tensors_are_copied_as_arrays():
    context = MODEL.context()
    context.inputs = {"x": X}
    for copied in (copy.deepcopy(context.inputs), pickle.loads(pickle.dumps(context.inputs))):
        assert type(copied) is dict
        assert np.array_equal(copied["x"], X)
        assert not np.shares_memory(copied["x"], context.inputs["x"])


@pytest.mark.parametrize(
    "error",
    [
        RunError(1, "look up"),
        RunError(1, "look up", 7),
        UnsupportedModelError("m.onnx", [Reason("n", "Loop", "no bound", "give one")]),
        InputError("a sentence"),
    ],
    ids=str,
)
def test_errors_travel_between_processes(error):
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, EngineError)
    assert (type(again), str(again), again.__dict__) == (type(error), str(error), error.__dict__)


def test_an_example_is_for_what_is_exported():
    for source in (str(Path("model.onnx")), PROTO, MODEL):
        with pytest.raises(ModelFileError, match="exports a PyTorch module or a scikit-learn estimator"):
            rt_engine.load(source, example=X)


@pytest.mark.parametrize("source", [PROTO, to_bytes(MODEL.program)], ids=["onnx", "rtp"])
@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"shapes": {"x": 5}}, ShapeBindingError, r"dictionary of input name -> whole numbers, .* got \{'x': 5\}"),
        ({"shapes": [1, 16]}, ShapeBindingError, r"got \[1, 16\]"),
        ({"shapes": {"x": ("batch", 16)}}, ShapeBindingError, "got .*'batch'"),
        ({"shapes": {"x": (1.0, 16)}}, ShapeBindingError, "whole numbers"),
        ({"state": ["y"]}, StateError, r"output name -> input name, .* got \['y'\]"),
        ({"state": "y"}, StateError, "got 'y'"),
        ({"initial": [1.0]}, InputError, "states are given as a dictionary of name -> array, got a list"),
    ],
)
def test_a_callers_mistake_does_not_blame_the_model(source, given, error, message):
    """Shapes, states, initial values of another form."""
    with pytest.raises(error, match=message):
        rt_engine.load(source, **given)


@pytest.mark.parametrize("saved", [5, [1.0]])
def test_a_state_is_restored_from_a_dictionary(saved):
    context = stateful().context()
    context.state = {"h": [1.0, 2.0]}
    with pytest.raises(InputError, match="states are given as a dictionary"):
        context.restore(saved)
    assert context.state["h"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("data", [[X], X, None])
def test_calibration_data_is_a_dictionary_or_a_file(data):
    with pytest.raises(InputError, match=r"an \.npz file, or a dictionary of input name -> samples; got a"):
        rt_engine.quantize(PROTO, data)
