"""The command `quantize`: writes a model, prints what it costs; bad data is an exit code and a message."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto as T
from onnx import helper, numpy_helper
from typer.testing import CliRunner

from station.cli import app
from station.errors import ExitCode


@pytest.fixture
def files(tmp_path):
    """(model, calibration data) of a layer with a Relu."""
    rng = np.random.default_rng(0)
    w = numpy_helper.from_array(rng.standard_normal((12, 6)).astype(np.float32), "w")
    nodes = [helper.make_node("MatMul", ["x", "w"], ["p"], name="first"), helper.make_node("Relu", ["p"], ["y"])]
    ends = [helper.make_tensor_value_info(n, T.FLOAT, s) for n, s in (("x", (1, 12)), ("y", (1, 6)))]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [w])
    model, data = tmp_path / "model.onnx", tmp_path / "data.npz"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), model)
    np.savez(data, x=rng.standard_normal((20, 12)).astype(np.float32))
    return model, data


def test_it_writes_a_model_and_says_what_it_costs(files):
    """By default beside the model; every layer with its noise, every output with its error."""
    model, data = files
    result = CliRunner().invoke(app, ["quantize", str(model), "--calibrate", str(data)])
    assert result.exit_code == 0, result.output
    written = model.with_name("model-int8.onnx")
    assert any(n.op_type == "QuantizeLinear" for n in onnx.load(written).graph.node)
    assert "first" in result.output and "SQNR" in result.output and "20 samples" in result.output


@pytest.mark.parametrize("options", [["--per-tensor"], ["--type", "uint8"], ["--method", "percentile"]])
def test_options(files, options, tmp_path):
    """Each option gives a model that runs."""
    model, data = files
    out = tmp_path / "q.onnx"
    result = CliRunner().invoke(app, ["quantize", str(model), "--calibrate", str(data), "-o", str(out), *options])
    assert result.exit_code == 0 and out.exists(), result.output


def test_data_that_does_not_fit_is_an_error(files, tmp_path):
    """The message names the inputs; nothing is written."""
    model, _ = files
    bad = tmp_path / "bad.npz"
    np.savez(bad, z=np.zeros((3, 12), np.float32))
    result = CliRunner().invoke(app, ["quantize", str(model), "--calibrate", str(bad)])
    assert result.exit_code == ExitCode.BAD_FILE
    assert "missing input 'x'" in result.output
    assert not model.with_name("model-int8.onnx").exists()


def test_the_input_is_not_written_over(files):
    """Neither the model nor the data."""
    for path in files:
        before = path.read_bytes()
        result = CliRunner().invoke(app, ["quantize", str(files[0]), "--calibrate", str(files[1]), "-o", str(path)])
        assert result.exit_code == ExitCode.USAGE and "is read by this command" in result.output
        assert path.read_bytes() == before


def test_names_that_look_like_markup_are_printed(files):
    """A node may be called anything."""
    model = onnx.load(files[0])
    model.graph.node[0].name = "[/bold]"
    onnx.save(model, files[0])
    result = CliRunner().invoke(app, ["quantize", str(files[0]), "--calibrate", str(files[1])])
    assert result.exit_code == 0 and "[/bold]" in result.output


def test_what_stays_float_and_true_sizes_are_printed(files, tmp_path):
    """A product that has no constant weights; weights beside the file count."""
    model = onnx.load(files[0])
    model.graph.node.append(helper.make_node("MatMul", ["y", "turned"], ["z"], name="second"))
    model.graph.node.insert(2, helper.make_node("Transpose", ["y"], ["turned"]))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("z", T.FLOAT, (1, 1)))
    path = tmp_path / "apart.onnx"
    onnx.save(model, path, save_as_external_data=True, location="apart.data", size_threshold=0)
    result = CliRunner().invoke(app, ["quantize", str(path), "--calibrate", str(files[1])])
    text = " ".join(result.output.replace("│", " ").split())
    assert result.exit_code == 0 and "Stays float" in text and "both its operands are computed" in text
    before = int(text.rpartition("with its weights ")[2].split()[0].replace(",", ""))
    assert before > (tmp_path / "apart.data").stat().st_size


def test_an_input_that_always_has_one_value_needs_no_data(files, tmp_path):
    """--value fixes it while the model is calibrated; the int8 model still has it, for `load(values=)` to say."""
    source, data = files
    proto = onnx.load(source)
    proto.graph.node[0].output[0] = "q"
    proto.graph.node.insert(1, helper.make_node("Mul", ["q", "gain"], ["p"], name="gained"))
    proto.graph.input.append(helper.make_tensor_value_info("gain", T.FLOAT, ()))
    model = tmp_path / "gain.onnx"
    onnx.save(proto, model)
    assert "missing input 'gain'" in CliRunner().invoke(app, ["quantize", str(model), "--calibrate", str(data)]).output
    result = CliRunner().invoke(app, ["quantize", str(model), "--calibrate", str(data), "--value", "gain=2.0"])
    assert result.exit_code == 0, result.output
    assert [i.name for i in onnx.load(model.with_name("gain-int8.onnx")).graph.input] == ["x", "gain"]
