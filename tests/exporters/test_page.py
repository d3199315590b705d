"""docs/exporters.md: every block makes a model that loads; the faults on it are still faults."""

import re
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

import rt_engine
from tests import ROOT, need

PAGE = (ROOT / "docs" / "exporters.md").read_text()
TORCH, LOGISTIC, STRINGS, BOOSTING = re.findall(r"```python\n(.*?)```", PAGE, re.S)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Blocks write to the current folder, and may change onnx."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(onnx.helper, "make_attribute", onnx.helper.make_attribute)


def run(block: str) -> dict[str, object]:
    """The names that a block leaves."""
    found: dict[str, object] = {}
    exec(compile(block, "docs/exporters.md", "exec"), found)
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the exporter's own
def test_a_network_of_pytorch():
    """Alone and with its weights in one file; `external_data=False` is what the page says."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed; it is gigabytes, so the gate goes without")
    pytest.importorskip("onnxscript", reason="PyTorch's exporter is not installed")
    network = run(TORCH)["network"]
    assert Path("policy.onnx.data").exists()
    x = np.linspace(-1, 1, 7, dtype=np.float32)[None]
    np.testing.assert_allclose(
        rt_engine.load("policy.onnx").run({"x": x})[0], network(torch.tensor(x)).detach(), rtol=1e-5, atol=1e-6
    )
    torch.onnx.export(network, (torch.zeros(1, 7),), "one.onnx", dynamo=True, external_data=False)
    assert not Path("one.onnx.data").exists() and rt_engine.load("one.onnx")


def test_a_classifier_of_scikit_learn():
    """Class and probabilities, for one row."""
    need.package("skl2onnx")
    found = run(LOGISTIC)
    label, scores = rt_engine.load("classifier.onnx").run({"X": found["X"][:1]})
    assert label.shape == (1,) and scores.shape == (1, 2)


def test_a_pipeline_on_columns_of_strings():
    """Names go in and come out, or their indices."""
    need.package("skl2onnx")
    model = run(STRINGS)["model"]
    assert model.categories == {"material": ("brass", "steel")} and model.classes == {"label": ("bad", "good")}


def test_gradient_boosting_is_exported_with_the_block_alone():
    """Without it the exporter fails; when it does not any more, the block and this row can go."""
    need.package("skl2onnx")
    found = run(BOOSTING)
    X, regressor = found["X"], found["regressor"]
    np.testing.assert_allclose(
        rt_engine.load("regressor.onnx").map({"X": X[:20]})[0].ravel(), regressor.predict(X[:20]), rtol=1e-4, atol=1e-5
    )
    plain = BOOSTING.replace(
        "onnx.helper.make_attribute = with_plain_numbers", "onnx.helper.make_attribute = make_attribute"
    )
    onnx.helper.make_attribute = sys.modules["onnx.helper"].make_attribute = found["make_attribute"]
    with pytest.raises(ValueError, match="Unable to create node 'TreeEnsembleRegressor'"):
        run(plain)


def test_no_command_needs_a_newer_pip():
    """`--group` is said once, with the version that has it."""
    pages = [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "examples").glob("*.md"),
    ]
    told = [page.name for page in pages for line in page.read_text().splitlines() if "pip install --group" in line]
    assert told == ["exporters.md"] and "needs pip 25.1 or newer" in PAGE
