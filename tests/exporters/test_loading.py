"""`rt_engine.load` of what PyTorch and scikit-learn trained: their own exporters' work, and what comes of it."""

import sys
from contextlib import nullcontext
from types import ModuleType

import numpy as np
import onnx
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor, IsolationForest
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import rt_engine
from benchmarks.models import mlp
from rt_engine.errors import ModelFileError

X = np.random.default_rng(0).standard_normal((60, 4))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.filterwarnings("ignore")  # that so few iterations do not converge
def test_a_pipeline_of_scikit_learn(dtype):
    """Its results, for rows of the example's type."""
    network = make_pipeline(StandardScaler(), MLPRegressor(hidden_layer_sizes=(8,), max_iter=20, random_state=0))
    network.fit(X, X.sum(axis=1))
    rows = X.astype(dtype)
    model = rt_engine.load(network, example=rows)
    assert model.name == "Pipeline"
    assert [str(spec) for spec in model.inputs] == [f"X: {np.dtype(dtype)}[1, 4]"]
    np.testing.assert_allclose(model.map({"X": rows})[0].ravel(), network.predict(rows), rtol=1e-4, atol=1e-5)


def test_a_classifier_keeps_the_names_of_its_classes():
    labels = np.where(X[:, 0] > 0, "good", "worn")
    model = rt_engine.load(LogisticRegression().fit(X, labels), example=X)
    assert set(map(tuple, model.classes.values())) == {("good", "worn")}


def test_what_an_exporter_refuses_is_a_sentence():
    with pytest.raises(ModelFileError, match="exporter of sklearn cannot export this LogisticRegression: "):
        rt_engine.load(LogisticRegression(), example=X)


@pytest.mark.parametrize("example", [X[:, :3], X[0], [0.0] * 4])
def test_rows_of_another_width_are_told(example):
    """And nobody is asked to export the model again."""
    shape = str(list(np.shape(example))).replace("[", r"\[")
    with pytest.raises(ModelFileError, match=rf"fitted to rows of 4 numbers; the shape of the example is {shape}"):
        rt_engine.load(LogisticRegression().fit(X, X[:, 0] > 0), example=example)


def test_an_example_may_be_a_list_of_rows():
    model = rt_engine.load(LogisticRegression().fit(X, X[:, 0] > 0), example=X[:2].tolist())
    assert [str(spec) for spec in model.inputs] == ["X: float64[1, 4]"]


def test_boosted_trees_and_an_isolation_forest():
    """What skl2onnx does not export by itself: see docs/exporters.md."""
    rows = X.astype(np.float32)
    boosted = HistGradientBoostingRegressor(max_iter=5, min_samples_leaf=5).fit(rows, rows.sum(axis=1))
    forest = IsolationForest(n_estimators=5, random_state=0).fit(rows)
    before = onnx.helper.make_attribute
    (predicted,) = rt_engine.load(boosted, example=rows).map({"X": rows})
    labels, _ = rt_engine.load(forest, example=rows).map({"X": rows})
    np.testing.assert_allclose(predicted.ravel(), boosted.predict(rows), rtol=1e-5, atol=1e-6)
    assert np.array_equal(labels.ravel(), forest.predict(rows))
    assert onnx.helper.make_attribute is before


def test_an_exporter_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(ModelFileError, match="needs skl2onnx: pip install scikit-learn skl2onnx"):
        rt_engine.load(LogisticRegression().fit(X, X[:, 0] > 0), example=X)


class Module:
    """As much of a PyTorch module as its export is asked for."""

    def __init__(self, *parts):
        self.training, self.parts = True, parts

    def modules(self):
        return [self, *self.parts]

    def eval(self):
        for part in self.modules():
            part.training = False

    def __call__(self, *args, **named):
        return None


Module.__module__ = "torch.nn.modules.module"


@pytest.fixture
def exports(monkeypatch):
    """What was exported, by a PyTorch that is made up."""
    found = []
    torch = ModuleType("torch")
    torch.Tensor = np.ndarray
    torch.as_tensor = np.asarray
    torch.no_grad = nullcontext

    def export(module, args, *, kwargs, dynamo, verbose):
        found.append(([part.training for part in module.modules()], args, kwargs))
        program = ModuleType("program")
        program.model_proto = mlp([16, 8, 4], "Tanh")
        return program

    torch.onnx = ModuleType("torch.onnx")
    torch.onnx.export = export
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "onnxscript", ModuleType("onnxscript"))
    return found


def test_a_module_is_exported_in_evaluation_mode_and_left_as_it_was(exports):
    frozen = Module()
    frozen.training = False
    module = Module(frozen)
    model = rt_engine.load(module, example=[1.0, 2.0])
    assert model.name == "Module"
    assert [str(spec) for spec in model.outputs] == ["y: float32[1, 4]"]
    ((training, (example,), named),) = exports
    assert (training, example.tolist(), named) == ([False, False], [1.0, 2.0], {})
    assert [part.training for part in module.modules()] == [True, False]


def test_examples_by_place_and_by_name(exports):
    a, b = np.ones(1), np.zeros(2)
    rt_engine.load(Module(), example=(a, b))
    rt_engine.load(Module(), example={"a": a, "b": b})
    assert [(len(args), sorted(named)) for _, args, named in exports] == [(2, []), (0, ["a", "b"])]


def test_a_module_without_its_exporter_is_told_what_to_install(exports, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ModelFileError, match="needs onnxscript: pip install torch onnxscript"):
        rt_engine.load(Module(), example=1.0)


def test_what_a_module_refuses_is_said_before_the_exporter_speaks(exports):
    """An example without all arguments, or of a wrong shape: the module's own words, and it trains on."""

    class Refusing(Module):
        def __call__(self, *args, **named):
            raise TypeError("forward() missing 1 required positional argument: 'sensors'")

    Refusing.__module__ = Module.__module__
    module = Refusing()
    with pytest.raises(ModelFileError, match=r"cannot export this Refusing: forward\(\) missing .* 'sensors'$"):
        rt_engine.load(module, example=1.0)
    assert module.training
    assert not exports


def test_the_cause_is_told_and_no_advice_to_who_works_on_pytorch(exports, monkeypatch):
    def export(*args, **named):
        try:
            raise ValueError("Could not guard on data-dependent expression\nmore of it")
        except ValueError as error:
            raise RuntimeError(
                "Failed. \x1b[96mThis is step 1/3\x1b[0m. Next steps:\n- submit a PR to PyTorch"
            ) from error

    monkeypatch.setattr(sys.modules["torch"].onnx, "export", export)
    with pytest.raises(
        ModelFileError, match=r"cannot export this Module: Could not guard on data-dependent expression$"
    ):
        rt_engine.load(Module(), example=1.0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the exporter's own
def test_a_module_of_pytorch_itself():
    """Where PyTorch is installed (dependency group `exporters`): its results, with batch normalisation and dropout at rest."""
    torch = pytest.importorskip("torch", reason="group `exporters`; a made-up PyTorch stands in for it above")
    pytest.importorskip("onnxscript", reason="group `exporters`")
    layers = (
        torch.nn.Linear(4, 8),
        torch.nn.BatchNorm1d(8),
        torch.nn.Dropout(0.5),
        torch.nn.Tanh(),
        torch.nn.Linear(8, 2),
    )
    network = torch.nn.Sequential(*layers)
    rows = X.astype(np.float32)
    model = rt_engine.load(network, example=rows[:1])
    assert network.training
    (y,) = model.map({model.inputs[0].name: rows})
    network.eval()
    with torch.no_grad():
        expected = network(torch.from_numpy(rows)).numpy()
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
