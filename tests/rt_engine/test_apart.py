"""Models compiled in a process of their own: the same model, and a sentence whatever becomes of the process."""

import errno
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import onnx
import pytest

import rt_engine
from rt_engine import apart
from rt_engine.apart import Apart
from rt_engine.binding import UNBOUND, Binding
from rt_engine.errors import EngineError, GateError
from rt_engine.gate.job import GateJob
from rt_engine.program.rtp_file import write
from rt_engine.program.rtp_writer import to_bytes
from rt_engine.read.source import Source, opened, opened_apart
from tests.rt_engine.test_state import STATE, counter
from tests.waiting import PATIENCE_S, wait_for


@pytest.fixture
def file(tmp_path):
    """A model with a state, a word of its author, and its weights beside it."""
    model = counter()
    model.graph.node.append(onnx.helper.make_node("Add", ["y", "w"], ["z"]))
    model.graph.output.append(onnx.helper.make_tensor_value_info("z", 1, [3]))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.arange(3, dtype=np.float32), "w"))
    onnx.helper.set_model_props(model, {"author": "Ada"})
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    return tmp_path / "m.onnx"


@pytest.fixture
def hangs(monkeypatch):
    """The child does nothing for a minute."""
    monkeypatch.setattr(
        apart.isolated, "command", lambda *_, **__: [sys.executable, "-c", "import time; time.sleep(60)"]
    )


def test_it_gives_what_load_gives(file):
    """The same program to the last byte, and the same hash, name, metadata and state; a program is loaded here."""
    here, there = rt_engine.load(file, state=STATE), Apart().load(opened(file), Binding(state=STATE))
    assert to_bytes(there.program) == to_bytes(here.program)
    assert (there.sha256, there.name, there.metadata) == (here.sha256, here.name, {"author": "Ada"})
    write(here.program, file.with_suffix(".rtp"))
    assert to_bytes(Apart().load(opened(file.with_suffix(".rtp")), Binding(state=STATE)).program) == to_bytes(
        here.program
    )


@pytest.mark.parametrize(
    ("source", "shapes", "state"),
    [
        (Source(b"nonsense", "m.onnx"), {}, {}),
        (Source(counter().SerializeToString(), "m.onnx"), {"x": (4,)}, {}),
        (Source(counter().SerializeToString(), "m.onnx"), {}, {"nothing": "before"}),
    ],
)
def test_a_refusal_has_the_words_of_load(source, shapes, state):
    with pytest.raises(EngineError) as here:
        rt_engine.load(source, shapes, state=state)
    with pytest.raises(EngineError) as there:
        Apart().load(source, Binding(shapes, state))
    assert str(there.value) == str(here.value)


def test_the_parse_is_not_here(file):
    """Nothing of ONNX is even imported by who has a model compiled: nothing of it can hold the interpreter."""
    code = """
import sys
from rt_engine.apart import Apart
from rt_engine.binding import Binding
from rt_engine.read.source import opened
print(Apart().load(opened(sys.argv[1]), Binding(state={"total": "before"})).outputs[0].name, "onnx" in sys.modules)
"""
    assert subprocess.check_output([sys.executable, "-c", code, str(file)], text=True) == "y False\n"


def test_a_child_that_is_killed_is_a_sentence(file, hangs):
    """As a system without memory does it."""
    loader = Apart()
    killer = threading.Thread(target=lambda: (wait_for(lambda: bool(loader._children)), _kill(loader)))
    killer.start()
    with pytest.raises(EngineError, match=r"compiled .*m\.onnx has ended \(Killed\): was there too little memory\?"):
        loader.load(opened(file), UNBOUND)
    killer.join()


def _kill(loader):
    for child in tuple(loader._children):
        os.kill(child.pid, signal.SIGKILL)


def test_a_child_that_hangs_is_ended(file, hangs):
    loader = Apart(time_s=0.2)
    with pytest.raises(EngineError, match=r"was not compiled within 0\.2 s; compile it beforehand"):
        loader.load(opened(file), UNBOUND)
    assert not loader._children


def test_who_closes_waits_for_nothing(file, hangs):
    """What is under way is refused at once; what comes later too, until it is opened again."""
    loader, said = Apart(), []

    def load():
        try:
            loader.load(opened(file), UNBOUND)
        except EngineError as error:
            said.append(str(error))

    thread = threading.Thread(target=load)
    thread.start()
    wait_for(lambda: bool(loader._children))
    loader.close()
    thread.join(PATIENCE_S)
    assert [text.endswith("the station is stopping") for text in said] == [True]
    load()
    assert "no model is compiled any more" in said[1]


@pytest.mark.parametrize("code", [errno.EAGAIN, errno.EMFILE, errno.ENOMEM])
def test_no_process_to_be_had_is_a_sentence(file, monkeypatch, code):
    def refuse(*_, **__):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(apart.subprocess, "Popen", refuse)
    with pytest.raises(EngineError, match=rf"cannot be compiled: {os.strerror(code)}; compile it beforehand"):
        Apart().load(opened(file), UNBOUND)


def test_a_child_stands_back():
    """Low priority, first to be ended, a bound on its memory, no core file."""
    code = """
import os, resource
from rt_engine.gate import limits
before = os.nice(0)
limits.free_bytes = lambda: 1 << 40
limits.stand_back(1000)
print(os.nice(0) == min(before + 10, 19), open("/proc/self/oom_score_adj").read().strip(), *resource.getrlimit(resource.RLIMIT_CORE))
print(resource.getrlimit(resource.RLIMIT_AS)[0] == limits.MEMORY_BYTES + 1000 * limits.MEMORY_PER_BYTE)
"""
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "True 1000 0 0\nTrue\n"


def test_what_is_examined_is_the_model_the_program_and_a_report(file):
    """The program is the file that `rt-engine compile` would write; a model that is refused is not there to be run."""
    here = rt_engine.load(file, state=STATE)
    done = Apart().examine(opened(file), Binding(state=STATE), GateJob("a", here.inputs, here.outputs))
    assert (done.report.passed, done.report.sha256) == (True, here.sha256)
    assert bytes(done.program) == to_bytes(here.program) == to_bytes(done.accepted().program)
    refused = Apart().examine(opened(file), Binding(state=STATE), GateJob("a", here.outputs, here.outputs))
    assert refused.model is None
    with pytest.raises(GateError, match=r"the gate refuses m: interface: slot 'a': the new model's inputs"):
        refused.accepted()


def test_a_file_that_was_read_apart_is_the_same_model(file):
    """Its bytes are a view of memory of its own; external data is found beside it."""
    here, source = rt_engine.load(file, state=STATE), opened_apart(file)
    assert isinstance(source.data, memoryview) and source.sha256 == opened(file).sha256
    assert to_bytes(Apart().load(source, Binding(state=STATE)).program) == to_bytes(here.program)
    assert to_bytes(rt_engine.load(source, state=STATE).program) == to_bytes(here.program)
    write(here.program, file.with_suffix(".rtp"))
    assert opened_apart(file.with_suffix(".rtp")).is_program


def test_kernels_that_are_not_there_are_no_lack_of_memory(tmp_path, monkeypatch):
    """What may not be compiled is said as it is, with what compiles it."""
    monkeypatch.setenv("RT_ENGINE_CACHE", str(tmp_path / "none"))
    monkeypatch.setenv("RT_ENGINE_COMPILE", "never")
    with pytest.raises(EngineError, match=r"is not compiled in .*RT_ENGINE_COMPILE=never.*compile it first"):
        Apart().load(Source(counter().SerializeToString(), "m.onnx"), Binding(state=STATE))
