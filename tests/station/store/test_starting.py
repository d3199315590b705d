"""Which version a station starts with: the file's, if it is new; else the committed one; else the one before; else the file's."""

import os

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from rt_engine.binding import UNBOUND, Binding
from rt_engine.change import ChangeState
from rt_engine.errors import EngineError
from rt_engine.read.source import opened
from station.store.starting import Beginning, Wanted, kept_in

X = np.ones((1, 4), np.float32)


def times(factor: float) -> onnx.ModelProto:
    """y = factor * x."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy")
    weights = numpy_helper.from_array(np.eye(4, dtype=np.float32) * factor, "w")
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [x], [y], [weights])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def save(path, factor):
    path.write_bytes(times(factor).SerializeToString())
    return path


class Machine:
    """A station's models `a` and `b`, again and again."""

    def __init__(self, folder):
        self.folder = folder
        self.files = {slot: save(folder / f"{slot}.onnx", 1.0) for slot in "ab"}

    def start(self):
        """Slot -> the factor that its model multiplies by; what was said; the versions."""
        with kept_in(self.folder / "store") as kept:
            begins = Beginning(kept, {slot: Wanted(file, UNBOUND) for slot, file in self.files.items()})
            models = begins.models()
            for begun in models.values():
                if isinstance(begun, EngineError):
                    raise begun
            versions = begins.settle()
            for slot, begun in models.items():
                if slot in versions:
                    assert begun.model.sha256 == versions[slot].sha256
            factors = {slot: float(begun.model.run({"x": X})[0][0, 0]) for slot, begun in models.items()}
            return factors, [f"{said.slot}: {said.text}" for said in kept.said if said.level != "ok"]

    def update(self, factor, *slots, state=ChangeState.COMMITTED):
        """Bring a new version to slots, with one change; gives where its file is."""
        with kept_in(self.folder / "store") as kept:
            source = opened(save(self.folder / "new.onnx", factor))
            versions = {slot: kept.store.add(slot, source, "anna").sha256 for slot in slots}
            change = kept.store.next_change()
            kept.store.record(change, versions, ChangeState.STAGED, "anna", "")
            kept.store.record(change, versions, state, "anna", "")
            return kept.store.files.place(source.sha256)

    def programs(self):
        return sorted((self.folder / "store" / "versions").glob("*/program-*.rtp"))


@pytest.fixture
def machine(tmp_path):
    made = Machine(tmp_path)
    assert made.start() == ({"a": 1.0, "b": 1.0}, [])
    return made


def damage(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_the_committed_version_runs(machine):
    machine.update(2.0, "a")
    assert machine.start() == ({"a": 2.0, "b": 1.0}, [])


def test_who_replaces_the_file_gets_what_he_put_there(machine):
    machine.update(2.0, "a")
    save(machine.files["a"], 3.0)
    factors, said = machine.start()
    assert factors == {"a": 3.0, "b": 1.0} and "the file counts, instead of version" in said[0]
    assert machine.start() == ({"a": 3.0, "b": 1.0}, [])


def test_a_file_that_does_not_load_is_not_committed(machine):
    """The version of before runs, which is said; and when the file is as it was, all is as before."""
    machine.update(2.0, "a")
    good = machine.files["a"].read_bytes()
    for spoil in (lambda file: file.write_bytes(b"nonsense"), lambda file: file.unlink()):
        spoil(machine.files["a"])
        factors, said = machine.start()
        assert factors["a"] == 2.0 and "a: the station file's model cannot be used" in said[0]
    machine.files["a"].write_bytes(good)
    assert machine.start() == ({"a": 2.0, "b": 1.0}, [])


def test_compiled_programs_are_kept_and_made_again_when_damaged(machine, monkeypatch):
    """A kept one is run without the compiler; one that is damaged, or of another version of the engine, is made again."""
    (program,) = machine.programs()
    good = program.read_bytes()
    monkeypatch.setattr("rt_engine.compiler.compile_model", None)
    assert machine.start() == ({"a": 1.0, "b": 1.0}, [])
    monkeypatch.undo()
    damage(program)
    assert machine.start() == ({"a": 1.0, "b": 1.0}, [])
    assert program.read_bytes() == good
    monkeypatch.setattr("rt_native.version.TEXT", "99.0.0")
    program.write_bytes(b"of another version")
    assert machine.start() == ({"a": 1.0, "b": 1.0}, [])
    assert program.read_bytes() == good


def lose(place):
    """A version whose file and program are damaged."""
    damage(place / "model.onnx")
    for program in place.glob("program*"):
        damage(program)


def test_a_lost_version_gives_way_to_the_one_before_in_all_slots_of_its_change(machine):
    lose(machine.update(2.0, "a", "b"))
    factors, said = machine.start()
    assert factors == {"a": 1.0, "b": 1.0}
    assert "is lost" in said[0] or "is lost" in said[1]
    assert any("together with" in words for words in said)
    assert machine.start() == ({"a": 1.0, "b": 1.0}, [])


def test_slots_of_different_changes_stay_apart(machine):
    machine.update(2.0, "b")
    lose(machine.update(3.0, "a"))
    assert machine.start()[0] == {"a": 1.0, "b": 2.0}


def test_the_station_files_model_takes_the_place_of_its_damaged_copy(machine):
    (place,) = (machine.folder / "store" / "versions").iterdir()
    lose(place)
    factors, said = machine.start()
    assert factors == {"a": 1.0, "b": 1.0} and "copied from" in said[0]
    assert machine.start() == ({"a": 1.0, "b": 1.0}, [])


def test_a_version_that_does_not_load_any_more_is_an_error(machine):
    """It is whole: what the station file says of it has changed. Nothing is rolled back for that."""
    machine.update(2.0, "a")
    with kept_in(machine.folder / "store") as kept:
        begun = Beginning(kept, {"a": Wanted(machine.files["a"], Binding({"x": (2, 2, 2)}))}).models()["a"]
    assert isinstance(begun, EngineError) and "version 2 (new.onnx" in str(begun) and "committed" in str(begun)
    assert machine.start() == ({"a": 2.0, "b": 1.0}, [])


def test_without_a_store_that_can_be_used_the_files_models_run(machine):
    machine.update(2.0, "a")
    store = machine.folder / "store"
    os.rename(store, machine.folder / "away")
    store.write_text("no folder")
    factors, said = machine.start()
    assert factors == {"a": 1.0, "b": 1.0} and "no update survives a restart" in said[0]
    store.unlink()
    os.rename(machine.folder / "away", store)
    (store / "journal").write_bytes(b"")
    assert machine.start()[0] == {"a": 1.0, "b": 1.0}


def test_external_data_is_kept_with_its_model(machine, tmp_path):
    """The same file with other weights is another version; and it runs when what lay beside it is gone."""
    for factor in (5.0, 6.0):
        onnx.save_model(
            times(factor), machine.files["a"], save_as_external_data=True, location="w.bin", size_threshold=0
        )
        assert machine.start()[0]["a"] == factor
        (tmp_path / "w.bin").unlink()
        for program in machine.programs():
            program.unlink()
        assert machine.start()[0]["a"] == factor
