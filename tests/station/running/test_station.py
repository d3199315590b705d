"""A station runs: closed loop, updates, stop, report."""

import errno
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import rt_engine
from fieldbus.errors import ConnectionLostError
from rt_engine import apart
from rt_engine.program.rtp_file import write
from rt_engine.read.source import opened
from station.errors import RefusedError, StationFileError
from station.file.reading import read_station
from station.running.signals import stopped_by_signals
from station.running.station import Station
from station.show.report import to_html, to_json
from station.show.verdict import judge
from tests.station.stations import AXIS, PLC, SIM, STATION, Recorder, running, station_text, write_station
from tests.waiting import PATIENCE_S, wait_for


@pytest.fixture
def station(tmp_path):
    return Station(read_station(write_station(tmp_path)))


def received(station):
    """What the device was sent."""
    return station._parts.links["sim"]._device.__globals__["received"]


def test_closed_loop_then_safe(station):
    """Inputs reach the model, its output reaches the device; after the end the device has the safe value, confirmed."""
    with station:
        wait_for(lambda: received(station)[-1:] == [2.0])  # the mean of 1 and 3
    assert received(station)[-1] == -1.0
    (event,) = [e for e in station.report().events if "safe values" in e.text]
    assert event.text == "safe values written, confirmed by the device"
    view = station.snapshot().tasks[0]
    assert view.cycles > 0
    assert view.wake_up.count == view.cycles


def test_tags_are_those_of_the_links_and_at_the_end_those_before_outputs_went_safe(station):
    """While it runs as many as are asked for; the report has all, with the values that were live, not the safe ones."""
    assert station.snapshot().tags == ()
    assert station.snapshot().tag_count == 3
    with running(station):
        wait_for(lambda: [tag.values for tag in station.tags()] == [(1.0,), (3.0,), (2.0,)])
        assert [tag.name for tag in station.snapshot(2).tags] == ["a", "b"]
        assert [tag.name for tag in station.tags(["f*", "a"])] == ["a", "force"]
        with pytest.raises(KeyError, match='no tag "c"'):
            station.tags(["c"])
    assert received(station)[-1] == -1.0
    assert [(tag.name, tag.values) for tag in station.report().snapshot.tags] == [
        ("a", (1.0,)),
        ("b", (3.0,)),
        ("force", (2.0,)),
    ]


def test_update_while_running(station, tmp_path):
    """A model replaced while running changes the outputs, the version and the events; no task stops."""
    with station:
        wait_for(lambda: received(station)[-1:] == [2.0])
        updated = station.update("mean", tmp_path / "twice.onnx")
        wait_for(lambda: received(station)[-1:] == [4.0])
    assert updated.version == 2
    assert "same tick" in updated.message
    assert station.snapshot().tasks[0].model_version == 2
    assert station.snapshot().models["mean"].endswith("twice.onnx")
    assert [event.good for event in station.report().events if event.kind == "update"] == [True]
    assert not station.file.config.servers
    (change,) = map(json.loads, (tmp_path / "audit.changes.jsonl").read_text().splitlines())
    assert (change["who"], change["what"]) == ("control socket", "model mean")
    assert change["outcome"].startswith("replaced by twice.onnx, SHA-256 ")


def test_update_with_a_compiled_program(station, tmp_path):
    """A .rtp takes the place of a model that came from ONNX; a damaged one is refused with the reason."""
    size = write(rt_engine.load(tmp_path / "twice.onnx").program, tmp_path / "twice.rtp")
    (tmp_path / "damaged.rtp").write_bytes((tmp_path / "twice.rtp").read_bytes()[: size - 64])
    with station:
        wait_for(lambda: received(station)[-1:] == [2.0])
        with pytest.raises(RefusedError, match="is damaged: it has"):
            station.update("mean", tmp_path / "damaged.rtp")
        station.update("mean", tmp_path / "twice.rtp")
        wait_for(lambda: received(station)[-1:] == [4.0])
    assert station.snapshot().models["mean"].endswith("twice.rtp")


def test_refused_update(station, tmp_path):
    """A model of another shape, a file that is no model, and an unknown slot are refused; the old model runs on."""
    with station:
        wait_for(lambda: received(station)[-1:] == [2.0])
        with pytest.raises(RefusedError, match=r"x: float32\[1, 5\]"):
            station.update("mean", tmp_path / "wide.onnx")
        with pytest.raises(RefusedError, match="not an ONNX model"):
            station.update("mean", tmp_path / "device.py")
        with pytest.raises(RefusedError, match="null byte"):
            station.update("mean", tmp_path / "a\0b.onnx")
        with pytest.raises(KeyError, match='did you mean "mean"'):
            station.update("meen", tmp_path / "twice.onnx")
        cycles = station.snapshot().tasks[0].cycles
        wait_for(lambda: station.snapshot().tasks[0].cycles > cycles)
        wait_for(lambda: received(station)[-1] == 2.0)
        assert station.snapshot().tasks[0].model_version == 1
    assert [event.good for event in station.report().events if event.kind == "update"] == [False, False, False]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_the_run(station, number):
    """SIGINT, SIGTERM and SIGHUP end the run in order: outputs safe, handlers as before."""
    before = signal.getsignal(number)
    view = Recorder(lambda: os.kill(os.getpid(), number) if len(view.snapshots) == 1 else None)
    with stopped_by_signals(station), station:
        station.run(view, seconds=60)
    assert received(station)[-1] == -1.0
    assert signal.getsignal(number) is before


def test_nohup_is_respected(station):
    """A terminal that closes ends no station that was started to outlive it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopped_by_signals(station):
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_run_ends_after_its_time_and_on_request(station):
    """`run` ends after `seconds`, or when asked from another thread."""
    with station:
        station.run(Recorder(), seconds=0.2)
        threading.Timer(0.1, station.request_stop).start()
        station.run(Recorder(), seconds=60)


def test_lost_device(tmp_path):
    """When the device fails, the task's outputs go safe, the loss and the return are events, and ticks go on."""
    station = Station(read_station(write_station(tmp_path)))
    link = station._parts.links["sim"]
    works = link._device
    with running(station):
        wait_for(lambda: received(station)[-1:] == [2.0])

        def fails(_):
            raise RuntimeError("no power")

        link._device = fails
        wait_for(lambda: "inputs bad" in station.snapshot().tasks[0].note)
        link._device = works
        wait_for(lambda: station.snapshot().tasks[0].note == "")
    texts = [e.text for e in station.report().events if e.kind == "link"]
    assert any("no power" in text for text in texts)
    assert station.snapshot().tasks[0].counters["bad_inputs"] > 0


def test_the_verdict_has_the_reason_of_the_loss_not_of_later_attempts(station):
    """What went wrong while the link was up is what a reader needs; that it then was refused is not."""
    link = station._parts.links["sim"]
    exchange, why = link._exchange, ["no power"]

    def fails(*_):
        raise ConnectionLostError(why[0])

    with running(station):
        wait_for(lambda: received(station)[-1:] == [2.0])
        link._exchange = fails
        wait_for(lambda: link.status().state == "down")
        why[0] = "refused"
        wait_for(lambda: "refused" in link.status().last_error)
        link._exchange = exchange
        wait_for(lambda: link.status().state == "up")
    (remark,) = [remark.text for remark in station.report().remarks if "was lost" in remark.text]
    assert "no power" in remark
    assert "refused" not in remark


def test_held_outputs_are_events_with_their_time_and_tag(station):
    """An input is NaN for a while: told when it begins and when it ends, each at once."""
    link, told = station._parts.links["sim"], []
    station.diary.tell = told.append
    works = link._device
    with running(station):
        wait_for(lambda: received(station)[-1:] == [2.0])
        link._device = lambda outputs: works(outputs) | {"b": float("nan")}
        wait_for(lambda: any(event.text == "outputs held: b is NaN or infinite" for event in told))
        link._device = works
        wait_for(lambda: any(event.text.startswith("outputs live again; from ") for event in told))
    texts = [event.text for event in station.report().events if event.kind in ("task", "run")]
    assert texts[0].startswith("starts, process ")
    assert texts[-2:] == ["stops", "stopped"]
    assert list(station.report().events) == told


def test_unreachable_device_keeps_outputs_safe(tmp_path):
    """A device that is not there does not stop the tasks: they tick with safe outputs, and the link says why."""
    text = STATION.replace(
        'type = "in-process"\ndevice = "device.py:device"', 'type = "modbus-tcp"\nhost = "127.0.0.1"\nport = 1'
    )
    text = text.replace("a = {}", 'a = { address = "input 0" }').replace("b = {}", 'b = { address = "input 2" }')
    text = text.replace("{ direction", '{ address = "holding 0", direction')
    station = Station(read_station(write_station(tmp_path, text)))
    with station:
        wait_for(lambda: station.snapshot().tasks[0].cycles > 20 and station.snapshot().links[0].errors > 0)
        snapshot = station.snapshot()
    assert snapshot.links[0].state in ("connecting", "down")
    assert "refused" in snapshot.links[0].last_error.lower()
    assert snapshot.tasks[0].note == "outputs safe, inputs bad"
    assert any("NOT confirmed" in event.text for event in station.report().events)


def test_report(station):
    """The report of a run has its tasks, histograms, rights and machine facts, and its counts agree with each other."""
    with station:
        station.run(Recorder(), seconds=0.3)
    report = station.report()
    (name, (wake_up, execution)), _ = report.pictures
    assert name == "Task axis"
    cycles = report.snapshot.tasks[0].cycles
    assert sum(bar.count for bar in wake_up.bars) == sum(bar.count for bar in execution.bars) == cycles
    assert {fact.name for fact in report.rights} >= {"locked memory", "SCHED_FIFO 80"}
    assert "Task axis" in to_html(report)
    assert '"bench"' in to_json(report)


def test_same_station_twice(station):
    """A station can be run, and run again."""
    for _ in range(2):
        with station:
            wait_for(lambda: received(station)[-1:] == [2.0])
        assert received(station)[-1] == -1.0


STEP = """\
from rt_native.lang import export, load_f64, store_f64


@export
def double(inputs, n_in, outputs, n_out, state):
    store_f64(outputs, 2.0 * load_f64(outputs) + load_f64(inputs + 8))
    return 0
"""


def test_own_step_after_the_model(tmp_path):
    """A step named in the file is compiled and runs after the model, with the task's inputs at hand."""
    path = write_station(tmp_path, STATION + 'step = "step.py:double"\n')
    (tmp_path / "step.py").write_text(STEP)
    station = Station(read_station(path))
    with station:
        wait_for(lambda: received(station)[-1:] == [7.0])  # twice the mean of 1 and 3, plus the second input


def test_a_step_that_does_not_compile_is_a_problem_of_the_file(tmp_path):
    """The compiler's words come with the line of the task."""
    path = write_station(tmp_path, STATION + 'step = "step.py:double"\n')
    (tmp_path / "step.py").write_text(STEP.replace("double", "other"))
    with pytest.raises(
        StationFileError, match=r"station.toml:\d+: error: tasks.axis: step .*expected a function with @step"
    ):
        Station(read_station(path))


def test_a_task_may_be_a_step_alone(tmp_path):
    """Without a model, the step computes the outputs from the inputs."""
    path = write_station(tmp_path, STATION.replace('model = "mean"', 'step = "step.py:double"'))
    (tmp_path / "step.py").write_text(STEP)
    station = Station(read_station(path))
    with station:
        wait_for(lambda: received(station)[-1:] == [3.0])
    assert station.snapshot().tasks[0].model_version == 0


def test_a_full_disk_behind_the_output_does_not_stop_the_control(station):
    """When what is shown cannot be written, the tasks go on to the end, and it is noted once."""

    def full():
        if len(view.snapshots) == 2:
            station.request_stop()
        raise OSError(errno.ENOSPC, "No space left on device")

    view = Recorder(full)
    with station:
        station.run(view, seconds=60)
    assert len(view.snapshots) >= 2
    assert received(station)[-1] == -1.0
    (event,) = [e for e in station.report().events if e.kind == "station"]
    assert event.text == "cannot be written, control goes on: No space left on device"


def test_text_that_the_terminal_does_not_have_does_not_stop_the_control(station):
    """A screen that refuses a character is no reason for the tasks to end."""

    def refuses():
        if len(view.snapshots) == 2:
            station.request_stop()
        "\u2713".encode("ascii")

    view = Recorder(refuses)
    with station:
        station.run(view, seconds=60)
    assert len(view.snapshots) >= 2
    assert any("cannot be written" in event.text for event in station.report().events)


def test_a_terminal_that_blocks_does_not_keep_the_station_from_stopping(station):
    """What shows hangs for ever: the request to stop is obeyed, outputs go safe."""
    release = threading.Event()
    view = Recorder(lambda: release.wait(60))
    with station:
        wait_for(lambda: received(station)[-1:] == [2.0])
        threading.Timer(0.2, station.request_stop).start()
        station.run(view, seconds=60)
    assert not release.is_set()
    assert received(station)[-1] == -1.0
    release.set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_more_signals_change_nothing(station, number):
    """Fifty in a row, and after the end too: the run ends once, in order."""
    with stopped_by_signals(station):
        with station:
            wait_for(lambda: received(station)[-1:] == [2.0])
            for _ in range(50):
                os.kill(os.getpid(), number)
            station.run(Recorder(), seconds=60)
        os.kill(os.getpid(), number)
    assert received(station)[-1] == -1.0
    assert station.snapshot().links[0].safe_confirmed is True


def test_a_late_second_ctrl_c_ends_what_delays_the_stop_and_outputs_go_safe(station, monkeypatch):
    """The main thread is held up: SIGTERM does not raise there, nor SIGINT too early; later it does, and all goes safe."""
    now_s, handled, seen = [0.0], [], []
    monkeypatch.setattr("station.running.signals.time", SimpleNamespace(monotonic=lambda: now_s[0]))

    def impatient():
        for now_s[0], number in ((0, signal.SIGTERM), (4.9, signal.SIGINT), (4.9, signal.SIGTERM), (5, signal.SIGTERM)):
            os.kill(os.getpid(), number)
            handled.append(station._is_asked(PATIENCE_S))  # by its handler
        os.kill(os.getpid(), signal.SIGINT)

    def held_up():
        wait_for(lambda: received(station)[-1:] == [2.0])
        threading.Thread(target=impatient).start()
        try:
            wait_for(lambda: False)  # awake now and then: a signal may have gone to another thread
        finally:
            seen.append(list(handled))

    with stopped_by_signals(station):
        with pytest.raises(KeyboardInterrupt), station:
            held_up()
        assert seen == [[True] * 4]
        assert received(station)[-1] == -1.0


def test_a_signal_while_outputs_go_safe_changes_nothing(station, monkeypatch):
    """Ctrl-C, impatiently, while the safe values are on their way: they still arrive, and are confirmed."""
    link = station._parts.links["sim"]
    stop = link.stop

    def interrupted(safe=True):
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGINT)
        return stop(safe)

    monkeypatch.setattr(link, "stop", interrupted)
    with stopped_by_signals(station), station:
        wait_for(lambda: received(station)[-1:] == [2.0])
    assert received(station)[-1] == -1.0
    assert station.snapshot().links[0].safe_confirmed is True


def test_a_start_that_fails_half_way_leaves_nothing_running(station, monkeypatch):
    """The tasks cannot start: the links, which come last, have sent nothing, and the error is told."""

    def fails():
        raise RuntimeError("no threads left")

    monkeypatch.setattr(station._scheduler, "start", fails)
    with pytest.raises(RuntimeError, match="no threads left"), station:
        pass
    assert station.snapshot().links[0].state == "stopped"
    assert received(station) == []


@pytest.mark.parametrize("has_written", [True, False])
def test_a_start_that_fails_between_links_makes_safe_what_it_has_driven(station, monkeypatch, has_written):
    """The second link cannot start: the first goes safe if it has written, and stays untouched if it has not."""

    class Fails:
        tags = ()

        def start(self):
            wait_for(lambda: received(station)[-1:] == [2.0] or not has_written)
            raise RuntimeError("no threads left")

    if not has_written:
        monkeypatch.setattr(station._parts.links["sim"], "_exchange", lambda *_: time.sleep(0.2))
    monkeypatch.setitem(station._parts.links, "late", Fails())
    with pytest.raises(RuntimeError, match="no threads left"), station:
        pass
    assert received(station)[-1:] == ([-1.0] if has_written else [])


def test_a_task_that_hangs_is_the_verdict_of_the_run(tmp_path):
    """A step that never returns: outputs safe, the verdict names the task, although all its cycles were on time."""
    path = write_station(tmp_path, STATION + 'step = "hang.py:hang"\nstep_state = 8\n')
    (tmp_path / "hang.py").write_text(HANG)
    station = Station(read_station(path))
    with station:
        wait_for(lambda: station.snapshot().tasks[0].is_hung)
        wait_for(lambda: received(station)[-1] == -1.0)
    assert station.report().level == "bad"
    assert station.report().remarks[0].text.endswith("made safe: axis")


HANG = """\
from rt_native.lang import clock_gettime, export, load_i64, stack, store_i64


@export
def hang(inputs, n_in, outputs, n_out, state):
    store_i64(state, load_i64(state) + 1)
    time = stack(16)
    clock_gettime(1, time)
    until = load_i64(time) + 4
    while load_i64(state) > 100 and load_i64(time) < until:
        clock_gettime(1, time)
    return 0
"""


def test_updates_that_nobody_can_take_are_refused(tmp_path):
    """A model that no task runs, and a station that has stopped: refused with the reason, never said to be live."""
    text = STATION.replace("[links.sim]", '[models.spare]\nfile = "mean.onnx"\n\n[links.sim]')
    station = Station(read_station(write_station(tmp_path, text)))
    with station, pytest.raises(RefusedError, match="no task of this scheduler runs the model slot 'spare'"):
        station.update("spare", tmp_path / "twice.onnx")
    with pytest.raises(RefusedError, match="the station is stopping"):
        station.update("mean", tmp_path / "twice.onnx")


def test_an_update_that_hangs_does_not_keep_a_station_from_its_end(tmp_path, monkeypatch):
    """What compiles it is ended, the update is refused, and one that waits behind it too; outputs are safe in time."""
    monkeypatch.setattr(
        apart.isolated, "command", lambda *_, **__: [sys.executable, "-c", "import time; time.sleep(60)"]
    )
    station, said = Station(read_station(write_station(tmp_path))), []

    def update():
        try:
            station.update("mean", tmp_path / "twice.onnx")
        except RefusedError as error:
            said.append(str(error))

    updates = [threading.Thread(target=update) for _ in range(2)]
    with station:
        for thread in updates:
            thread.start()
        wait_for(lambda: bool(station._apart._children))
    for thread in updates:
        thread.join(PATIENCE_S)
    assert ["the station is stopping" in text for text in said] == [True, True]
    assert received(station)[-1] == -1.0


def test_a_signal_at_any_line_of_the_wait_ends_the_run(station):
    """Its handler asks for the end while the same thread is inside the wait for that: nothing there has a lock to hang at."""

    def everywhere(frame, event, _):
        frame.f_trace_opcodes = True
        if event == "opcode":
            sys.settrace(None)
            station.request_stop()
            sys.settrace(everywhere)
        return everywhere

    def asked():
        sys.settrace(everywhere)
        try:
            station.run(Recorder(), seconds=60)
        finally:
            sys.settrace(None)

    run = threading.Thread(target=asked, daemon=True)
    run.start()
    run.join(PATIENCE_S)
    assert not run.is_alive()


def test_an_update_whose_file_hangs_holds_no_other(station, tmp_path, monkeypatch):
    """A network's folder that answers no more: the next update goes on."""
    reached, over, given_up = threading.Event(), threading.Event(), threading.Event()

    class GaveUpError(Exception):
        """The folder's, at last."""

    def slow(file):
        if Path(file).name == "hangs.onnx":
            reached.set()
            over.wait(60)
            raise GaveUpError
        return opened(file)

    def update():
        try:
            station.update("mean", tmp_path / "hangs.onnx")
        except GaveUpError:
            given_up.set()

    monkeypatch.setattr("station.change.changes.opened_apart", slow)
    with running(station):
        hung = threading.Thread(target=update, daemon=True)
        hung.start()
        assert reached.wait(60)
        assert station.update("mean", station.file.path.parent / "twice.onnx").version == 2
    over.set()
    hung.join()
    assert given_up.is_set()


def test_a_plc_link_that_nobody_has_called_is_no_fault_of_a_run(tmp_path):
    """A PLC that is not there yet: no exit code 1, so nothing starts a healthy station again for it."""
    axis = AXIS.replace("a = {}", 'a = { link = "sim" }').replace("b = {}", 'b = { link = "sim" }')
    axis = axis.replace(
        "force = {",
        'order = { link = "plc" }\nshown = { link = "plc", direction = "out", safe = 0 }\nforce = { link = "sim",',
    )
    text = station_text("bench", SIM, PLC, '[servers.modbus]\ntype = "modbus-tcp"\nport = 0\n', axis)
    station = Station(read_station(write_station(tmp_path, text)))
    with station:
        wait_for(lambda: received(station)[-1:] == [2.0])
    report = station.report()
    assert [remark.text for remark in judge(report.snapshot) if "plc" in remark.text] == [
        "plc: no PLC client has called"
    ]
    assert report.level != "bad" and received(station)[-1] == -1.0
