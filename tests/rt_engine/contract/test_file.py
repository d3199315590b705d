import onnx
import pytest

import rt_engine
from rt_engine.contract import Contract, ContractError, Element, TensorContract, attach, read
from rt_engine.program.rtp_file import write
from tests.rt_engine.contract.contracts import MODEL, full


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(MODEL.SerializeToString())
    return path


def test_what_is_attached_is_read(file):
    """Of the file, of the loaded model, of what it is compiled to, and of what that is loaded from."""
    attach(file, full())
    loaded = rt_engine.load(file)
    write(loaded.program, file.with_suffix(".rtp"))
    assert read(file) == loaded.contract == read(loaded) == full()
    assert read(file.with_suffix(".rtp")) == rt_engine.load(file.with_suffix(".rtp")).contract == full()


def test_a_compiled_program_takes_one_too(file):
    path = file.with_suffix(".rtp")
    write(rt_engine.load(file).program, path)
    attach(path, full())
    assert rt_engine.load(path).contract == full()


def test_a_model_reads_its_contract_once(file):
    """Who asks in every cycle of a loop gets the same object."""
    attach(file, full())
    loaded = rt_engine.load(file)
    assert loaded.contract is loaded.contract


def test_without_one_there_is_none(file):
    assert read(file) is None and rt_engine.load(file).contract is None


def test_what_the_model_computes_stays(file):
    """And what others wrote into its metadata; one that was there is replaced, with all its parts."""
    proto = onnx.load(file)
    proto.metadata_props.add(key="mine", value="kept")
    attach(proto, full())
    attach(proto, Contract(rate_hz=10))
    assert {entry.key for entry in proto.metadata_props} == {"mine", "rt_engine.contract"}
    assert proto.graph == MODEL.graph
    assert read(proto) == Contract(rate_hz=10)


def test_it_can_be_written_elsewhere(file, tmp_path):
    attach(file, full(), tmp_path / "other.onnx")
    assert read(file) is None and read(tmp_path / "other.onnx") == full()
    with pytest.raises(ContractError, match="no file to write it to"):
        attach(file.read_bytes(), full())


def test_one_that_contradicts_the_model_is_not_attached(file):
    before = file.read_bytes()
    wrong = Contract((TensorContract("x", (Element("a"), Element("b"), Element("c"))),))
    with pytest.raises(ContractError, match=r"input 'x' has 3 elements, its shape \[\?, 4\] has 4"):
        attach(file, wrong)
    assert file.read_bytes() == before


def test_a_broken_one_hinders_nobody(file):
    """The model loads and runs; who asks for the contract is told."""
    proto = onnx.load(file)
    proto.metadata_props.add(key="rt_engine.contract", value='{"rate_hz": NaN}')
    onnx.save(proto, file)
    loaded = rt_engine.load(file)
    assert loaded.run({"x": [[0, 0, 0, 0]]})
    with pytest.raises(ContractError, match=r"the contract of model cannot be read: .*NaN, which JSON does not know"):
        loaded.contract  # noqa: B018


def test_keys_of_others_are_read_with_the_model(file):
    """Their lengths are those of its tensors."""
    proto = onnx.load(file)
    for key, value in {
        "joint_names": "hip,knee",
        "default_joint_pos": "0.1,0.2",
        "observation_names": "joint_pos,command",
    }.items():
        proto.metadata_props.add(key=key, value=value)
    onnx.save(proto, file)
    found = rt_engine.load(file).contract
    assert found == read(file) and found.origin == "mjlab"
    assert [e.name for e in found.elements("x")] == ["joint_pos.hip", "joint_pos.knee", "command[0]", "command[1]"]


def test_weights_beside_the_file_are_not_lost(tmp_path):
    """They are found from the folder of the model; what is written elsewhere would not find them."""
    proto = onnx.ModelProto.FromString(MODEL.SerializeToString())
    names = {"save_as_external_data": True, "location": "weights", "size_threshold": 0}
    onnx.save(proto, tmp_path / "model.onnx", **names)
    attach(tmp_path / "model.onnx", full())
    assert rt_engine.load(tmp_path / "model.onnx").contract == full()
    attach(tmp_path / "model.onnx", Contract(rate_hz=1), tmp_path / "other.onnx")
    assert rt_engine.load(tmp_path / "other.onnx").contract == Contract(rate_hz=1)
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(ContractError, match="weights in files beside it"):
        attach(tmp_path / "model.onnx", full(), tmp_path / "elsewhere" / "model.onnx")
