"""The command line: what each command prints, and its exit code."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from contextlib import suppress

import onnx
import pytest
import typer
from onnx import helper
from typer.testing import CliRunner

from rt_native import version
from station.cli import app, command_line
from station.errors import ExitCode, NotRunningError
from station.running.asking import fetch_status
from station.running.places import socket_path
from tests import ROOT
from tests.station.stations import ENDS, STATION, write_station
from tests.waiting import wait_for

HEAVY = ("numba", "torch", "sklearn", "onnxruntime")


@pytest.fixture(autouse=True)
def private_runtime_folder(socket_folder, monkeypatch):
    """Control sockets of these tests are in a folder of their own."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(socket_folder))


def rt_engine(*words, code=0):
    """Run a command to its end; its output, both streams."""
    command = [sys.executable, "-m", "station", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def is_live():
    """Has a cycle of the running station given outputs that were not safe? False when none answers yet."""
    try:
        (task,) = fetch_status(socket_path("bench")).tasks
    except NotRunningError:
        return False
    return task.cycles > 0 and not task.never_live


@pytest.fixture
def running(tmp_path):
    """A station in a process of its own, whose link is up: its outputs have been the model's."""
    path = write_station(tmp_path / "cell")
    command = [sys.executable, "-m", "station", "run", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)
    wait_for(lambda: process.poll() is not None or is_live(), 90)
    assert process.poll() is None, process.stdout.read()
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_help_is_complete_and_light():
    """Help names every command and the exit codes, and imports nothing that takes time."""
    code = (
        "import sys, station.cli\nfrom typer.testing import CliRunner\n"
        "print(CliRunner().invoke(station.cli.app, ['--help']).output)\nprint(*sys.modules, sep='|')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    text, modules = done.stdout.rsplit("\n", 2)[0], done.stdout.split("|")
    for command in ("run", "check", "status", "watch", "update", "stop", "doctor", "demo", "kernels", "schema"):
        assert re.search(rf"\b{command}\b", text)
    assert "Exit codes" in text
    assert not {"numpy", "pydantic", "aiohttp", "onnx", "rt_engine", "numba"} & set(modules)


def test_a_command_is_what_it_is_among_all():
    """Its name on the command line is enough to describe it, and groups too; another word is told with all that there are."""
    everything = typer.main.get_command(app).commands
    for name, command in everything.items():
        alone = typer.main.get_command(command_line(name)).commands
        assert {name: [p.name for p in command.params]} == {n: [p.name for p in one.params] for n, one in alone.items()}
    for word in ("", "--version", "shared", "reset_drive", "../cli"):
        assert typer.main.get_command(command_line(word)).commands.keys() == everything.keys()
    assert "'bench'" in rt_engine("bemch", code=2)


def test_a_command_imports_no_other():
    """Each that is described makes every start longer."""
    code = "import sys, atexit, station.cli; atexit.register(lambda: print(*sys.modules)); station.cli.main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "stop", "-h"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    loaded = {name for name in done.stdout.split() if name.startswith("station.commands.") and ".shared" not in name}
    assert loaded == {"station.commands.run", "station.commands.stop"}


def test_run_imports_no_compiler(tmp_path):
    """A run from file to report imports neither Numba nor a training library."""
    path = write_station(tmp_path, device=ENDS)
    code = (
        "import sys, station.cli\nfrom typer.testing import CliRunner\n"
        f"r = CliRunner().invoke(station.cli.app, ['run', {str(path)!r}])\n"
        f"print(r.exit_code, [m for m in {HEAVY!r} if m in sys.modules], r.output)"
    )
    rt_engine("kernels")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.startswith("0 []"), done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "others"),
    [
        ("station.running.station", ("rt_engine.explain", "rt_engine.measure.inspect", "aiohttp.web_protocol")),
        ("scheduler.scheduler", ("rt_engine.recording.writer", "rt_engine.recording.recording")),
        ("station.show.live", ("numpy", "rt_engine.model", "scheduler.scheduler", "station.file.config")),
    ],
)
def test_a_start_loads_nothing_of_what_only_some_look_at(module, others):
    """What examines models, serves the page, reads and writes recordings is loaded by who does that."""
    code = f"import sys, {module}; print([other for other in {others!r} if other in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_a_health_check_loads_nothing_but_the_command_line(tmp_path):
    """It is asked every minute, beside tasks: neither the engine nor a library of numbers or networks is loaded for it."""
    code = (
        "import sys, station.cli\nfrom typer.testing import CliRunner\n"
        f"r = CliRunner().invoke(station.cli.app, ['status', '--health', '--socket', {str(tmp_path / 'none.sock')!r}])\n"
        "print(r.exit_code, *{name.partition('.')[0] for name in sys.modules}, sep='|')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    exit_code, *loaded = done.stdout.split("|")
    assert exit_code == str(int(ExitCode.NOT_RUNNING))
    assert not {"numpy", "aiohttp", "rt_engine", "fieldbus", "scheduler", "plc_bindings"} & {
        name.strip() for name in loaded
    }


def test_run_for_a_time(tmp_path):
    """`run --seconds` runs, says how it went, and writes the report into the folder that the file names."""
    text = rt_engine("run", write_station(tmp_path), "--seconds", "2")
    assert re.search(r"All [\d,]+ cycles met their deadline|ticks did not run", text)
    assert "sim: safe values written, confirmed by the device" in text
    pages = list((tmp_path / "reports").glob("bench-*.html"))
    assert len(pages) == 1
    assert str(pages[0]) in text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals(running, number, tmp_path):
    """Ctrl-C and SIGTERM: outputs safe, report written, exit code 0, no socket left behind."""
    running.send_signal(number)
    text = running.stdout.read()
    assert running.wait(90) == 0, text
    assert "confirmed by the device" in text
    assert list((tmp_path / "cell" / "reports").glob("*.json"))
    assert not socket_path("bench").exists()


def test_status_update_stop(running, tmp_path):
    """The other commands reach the running station; a wrong model is refused with the reason, the station goes on."""
    cell = tmp_path / "cell"
    text = rt_engine("status", cell / "station.toml")
    assert "axis" in text
    assert "sim" in text
    assert "live as version 2" in rt_engine("update", "mean", cell / "twice.onnx", "--station", cell / "station.toml")
    refusal = rt_engine("update", "mean", cell / "wide.onnx", "--socket", socket_path("bench"), code=ExitCode.REFUSED)
    assert "x: float32[1, 5]" in refusal
    status = json.loads(rt_engine("status", "--json", "--station", cell / "station.toml"))
    assert status["tasks"][0]["model_version"] == 2
    assert f"log of changes: record 2, head {status['audit_head']}" in rt_engine("status", cell / "station.toml")
    text = rt_engine("status", "--station", "mine", code=ExitCode.NOT_RUNNING)
    assert re.match(
        r"station 'mine' is not running \(start it: rt-engine run station.toml\); running: .*\bbench\b", text
    )
    assert "runs already" in rt_engine("run", cell / "station.toml", code=ExitCode.NOT_RUNNING)
    rt_engine("stop", "--station", cell / "station.toml")
    assert running.wait(90) == 0


def test_values_of_tags_are_seen(running, tmp_path):
    """`status` shows them, as JSON all of them; `watch` follows those that are named, and knows what is meant by others."""
    file = tmp_path / "cell" / "station.toml"
    assert re.search(r"^b +in +3 +- +(GOOD|STALE|BAD) ", rt_engine("status", file), re.M)
    tags = json.loads(rt_engine("status", "--json", file))["tags"]
    assert [(tag["name"], tag["values"]) for tag in tags[:2]] == [("a", [1]), ("b", [3])]
    assert tags[2]["direction"] == "out"
    text = rt_engine("watch", "b", "for*", "--station", file, "--every", "0.1", "--seconds", "0.3")
    assert re.search(r"^\d\d:\d\d:\d\d\.\d{3}  b      3  (GOOD|STALE|BAD)  age [\d.]+ [mu]?s$", text, re.M), text
    assert "  force  2" in text
    assert "  a  " not in text
    assert re.search(
        r'no tag\s+"forse"; did you mean\s+"force"', rt_engine("watch", file, "forse", code=ExitCode.USAGE)
    )


def test_watching_ends_with_ctrl_c_and_with_the_station(running, tmp_path):
    """Exit code 0, and nothing but lines; when the station ends, 4 and why."""
    command = [sys.executable, "-m", "station", "watch", str(tmp_path / "cell" / "station.toml"), "--every", "0.05"]
    for end, code, said in ((None, 0, ""), ("stop", ExitCode.NOT_RUNNING, "is not running|no station runs")):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as watch:
            assert "  a" in watch.stdout.readline()
            if end is None:
                watch.send_signal(signal.SIGINT)
            else:
                running.send_signal(signal.SIGTERM)
            _, errors = watch.communicate(timeout=60)
        assert watch.returncode == code, errors
        assert re.match(said, errors.partition("the station ")[2] or errors) and (said or not errors)


def test_on_a_terminal_watch_is_a_table(running, tmp_path):
    """Drawn again and again in place, with the least and the greatest value seen."""
    assert running.poll() is None
    leader, follower = pty.openpty()
    words = [sys.executable, "-m", "station", "watch", str(tmp_path / "cell" / "station.toml"), "--seconds", "1"]
    size = {"COLUMNS": "120", "LINES": "30", "TERM": "xterm"}
    with subprocess.Popen(words, stdout=follower, stderr=follower, cwd=ROOT, env={**os.environ, **size}) as watch:
        os.close(follower)
        text = b""
        with suppress(OSError):  # the other end is closed
            while data := os.read(leader, 1 << 16):
                text += data
    os.close(leader)
    assert watch.returncode == 0, text
    assert b"greatest" in text
    assert text.count(b"force") >= 2


def test_nobody_runs(socket_folder, tmp_path, monkeypatch):
    """Without a station, status, update and stop say so."""
    monkeypatch.setattr("station.running.finding.claimed_texts", lambda _: [])
    monkeypatch.chdir(tmp_path)
    for words in (("status",), ("watch",), ("watch", "a*"), ("update", "mean", "x.onnx"), ("stop",)):
        ran = CliRunner().invoke(app, [*words])
        assert ran.exit_code == ExitCode.NOT_RUNNING
        assert "no station runs (start one: rt-engine run station.toml)" in ran.output
    ran = CliRunner().invoke(app, ["status", "--socket", str(socket_folder / "none.sock")])
    assert ran.output == "station 'none' is not running (start it: rt-engine run station.toml); no other station runs\n"


def test_check(tmp_path):
    """`check` of a good file shows its models; of a good model what runs and what it costs."""
    text = rt_engine("check", write_station(tmp_path), tmp_path / "mean.onnx")
    assert "good: 1 task, 1 model, 1 link, 3 tags" in text
    assert "model mean: (x: float32[1, 2]) -> (y: float32[1, 1])" in text
    assert re.search(r"mean\.onnx: runs", text)
    assert "opset ai.onnx" in text
    assert "weight bytes" in text


def test_check_of_a_model_that_is_refused(tmp_path):
    """`check` names every node that is refused and what helps, also as JSON; open shapes are bound by --shape."""
    nodes = [
        helper.make_node("RandomUniformLike", ["b"], ["a"], name="match"),
        helper.make_node("RandomNormalLike", ["c"], ["d"], name="boxes"),
        helper.make_node("Identity", ["x"], ["y"]),
    ]
    inputs = [("s", 1, [1]), ("b", 1, [1, 5, 4]), ("c", 1, [1, 1, 5]), ("x", 1, [1, "length"])]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(*i) for i in inputs],
        [helper.make_tensor_value_info("y", 1, [1, "length"])],
    )
    opsets = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), tmp_path / "bad.onnx")
    text = rt_engine("check", tmp_path / "bad.onnx", code=ExitCode.BAD_FILE)
    for word in ("RandomUniformLike", "match", "RandomNormalLike", "boxes", "length"):
        assert word in text
    (found,) = json.loads(rt_engine("check", tmp_path / "bad.onnx", "--json", code=ExitCode.BAD_FILE))
    assert not found["runs"]
    assert {r["operator"] for r in found["reasons"]} >= {"RandomUniformLike", "RandomNormalLike"}
    del graph.node[:2], graph.input[:3]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), tmp_path / "open.onnx")
    assert "length" in rt_engine("check", tmp_path / "open.onnx", code=ExitCode.BAD_FILE)
    assert "x: float32[1, 7]" in rt_engine("check", tmp_path / "open.onnx", "--shape", "x=1,7")
    (found,) = json.loads(rt_engine("check", tmp_path / "open.onnx", "--shape", "x=1,7", "--json"))
    assert found["runs"] and found["operators"] == {"Identity": 1} and found["inputs"] == ["x: float32[1, 7]"]
    assert "is no shape" in rt_engine("check", tmp_path / "open.onnx", "--shape", "seven", code=ExitCode.USAGE)


def test_check_finds_faults(tmp_path):
    """`check` goes on after a bad file, names every problem with its line, and ends with 3."""
    path = write_station(
        tmp_path, STATION.replace('["a", "b"]', '["a", "bb"]').replace('"1 ms"\ninputs', '"1 us"\ninputs')
    )
    text = rt_engine("check", tmp_path / "device.onnx", path, tmp_path / "twice.onnx", code=ExitCode.BAD_FILE)
    assert re.search(r"station\.toml:20: error: tasks\.axis\.cycle: a task's cycle is at least 50 us", text)
    assert re.search(r'station\.toml:21: error: tasks\.axis\.inputs\[1\]: unknown tag "bb"', text)
    assert "device.onnx" in text
    assert "twice.onnx: runs" in text


def test_run_with_a_bad_file(tmp_path):
    """A station file with a mistake is not run."""
    text = rt_engine("run", write_station(tmp_path, "[station]\nnaem = 'x'\n"), code=ExitCode.BAD_FILE)
    assert 'did you mean "name"?' in text
    assert "No such file" in rt_engine("run", tmp_path / "none.toml", code=ExitCode.BAD_FILE)


def test_report_folder_not_writable(tmp_path):
    """A report folder that cannot be written is a warning at the end; the run was good all the same."""
    path = write_station(tmp_path, device=ENDS)
    text = rt_engine("run", path, "--report", tmp_path / "mean.onnx" / "reports")
    assert "warning: the report could not be written to" in text
    assert re.search(r"^report .*rt-engine-\d+/reports/bench-.*html$", text, re.MULTILINE)


def test_doctor():
    """`doctor` names facts, measures, and gives its verdict; `--json` is for programs."""
    command = [sys.executable, "-m", "station", "doctor", "--seconds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode in (ExitCode.OK, ExitCode.FAILED)  # this machine may have a bad shortcoming
    assert "SIMD" in done.stdout
    assert re.search(r"wake-up of an empty 1 kHz task \([\d,]+ samples", done.stdout)
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False, cwd=ROOT)
    diagnosis = json.loads(done.stdout)
    assert diagnosis["wake_up"]["timing"]["count"] > 0
    assert (diagnosis["level"] == "bad") == (done.returncode == ExitCode.FAILED)


def test_doctor_refuses_a_core_that_is_not_there():
    """A core that the machine does not have is a wrong command line."""
    assert "cores" in rt_engine("doctor", "--cpu", "4000", code=ExitCode.USAGE)


def test_kernels():
    """`kernels` builds what is missing, and shows where all libraries are."""
    text = rt_engine("kernels")
    for name in ("kernels", "fieldbus", "fieldbus.exchange", "scheduler", "replay", "plc calls"):
        assert re.search(rf"^{name} .* files ", text, re.MULTILINE)
    again = [line for line in rt_engine("kernels").splitlines() if " files " in line]
    assert again
    assert all(" ready " in line for line in again)


def test_module_and_usage():
    """A wrong command line ends with 2."""
    rt_engine("rnu", code=ExitCode.USAGE)
    rt_engine("run", "--seconds", "-1", code=ExitCode.USAGE)


def test_run_with_a_full_disk_behind_stdout(tmp_path):
    """With stdout on a full disk the station still runs until it is asked to end, and writes its report."""
    path = write_station(tmp_path, device=ENDS)
    command = [sys.executable, "-m", "station", "run", str(path)]
    with open("/dev/full", "w") as full:
        subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=120, check=False, cwd=ROOT)
    (report,) = (tmp_path / "reports").glob("*.json")
    assert json.loads(report.read_text())["station"]["tasks"][0]["cycles"] > 0


def test_run_without_a_place_for_the_socket(tmp_path):
    """Where the control socket cannot be made, the station runs all the same, with a warning."""
    text = rt_engine("run", write_station(tmp_path, device=ENDS), "--socket", tmp_path / "none" / "x.sock")
    assert "warning: no control socket" in text
    assert "confirmed by the device" in text


def test_no_place_for_any_socket(monkeypatch):
    """Where no folder for sockets can be made, `status` says that no station runs, with the reason."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/proc")
    name = f"none-{os.getpid()}"  # of a computer on which others may run
    assert "no station runs" in rt_engine("status", "--station", name, code=ExitCode.NOT_RUNNING)


def test_a_run_in_which_nothing_worked_is_no_success(tmp_path):
    """A device that always fails: the exit code is 1, and the terminal and the report say what was safe, and why."""
    path = write_station(tmp_path)
    (tmp_path / "device.py").write_text("def device(outputs):\n    return 1 / 0\n")
    text = rt_engine("run", path, "--seconds", "2", code=ExitCode.FAILED)
    assert re.search(r"axis: outputs were safe in all [\d,]+ cycles: inputs bad", text)
    assert "sim was never up" in text
    assert "Safe values NOT confirmed by: sim" in text
    (page,) = (tmp_path / "reports").glob("*.html")
    assert '<span class="bad">never up</span>' in page.read_text()
    assert page.read_text().count('<div class="verdict bad">') == 3


@pytest.mark.parametrize(
    "words",
    [("run", "station.toml"), ("check", "station.toml"), ("check", "mean.onnx"), ("demo",), ("kernels",), ("doctor",)],
)
def test_a_kernel_cache_that_cannot_be_written(words, tmp_path, monkeypatch):
    """Every command that needs kernels says in one sentence that it cannot build them, and ends with a code of its own."""
    write_station(tmp_path)
    monkeypatch.setenv("RT_ENGINE_CACHE", "/proc/rt-engine")
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, "-m", "station", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert done.returncode == ExitCode.NO_KERNELS, done.stdout + done.stderr
    assert done.stderr.startswith("cannot write the kernel cache /proc/rt-engine")
    assert done.stderr.count("\n") == 1


def test_no_help_text_is_lost():
    """Words in brackets are markup to what prints help: no help text has any."""
    import station.cli

    for command in typer.main.get_command(station.cli.app).commands.values():
        assert "[" not in (command.help or "")
        for parameter in command.params:
            assert "[" not in (getattr(parameter, "help", "") or ""), (command.name, parameter.name)


def test_the_version_is_printed():
    assert rt_engine("--version") == f"rt-engine {version.TEXT}\n"


LOCALES = (
    {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "ascii"},
)


@pytest.mark.parametrize("locale", LOCALES, ids=lambda locale: " ".join(locale.values()))
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["check"], 0),
        (["check", "größe.onnx"], 0),
        (["symbols"], 0),
        (["inspect", "größe.onnx", "--seconds", "0.01"], 0),
        (["run"], 0),
        (["doctor", "--seconds", "0.01"], None),
        (["schema", "--markdown"], 0),
        (["check", "größer.onnx"], 3),
    ],
    ids=lambda part: part if isinstance(part, int) else part and part[0],
)
def test_every_command_works_whatever_the_locale(tmp_path, locale, words, code):
    """Station files and the file names in them are UTF-8; what the terminal's charset lacks is shown as an escape."""
    text = STATION.replace("mean.onnx", "größe.onnx").replace("a = {}", 'a = { unit = "µm" }')
    path = write_station(tmp_path, text, ENDS)
    (tmp_path / "mean.onnx").rename(tmp_path / "größe.onnx")
    path.write_text(path.read_text(encoding="utf-8") + "# 液位\n", encoding="utf-8")
    environment = {**os.environ, **locale, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "station", *words]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False, cwd=tmp_path, env=environment)
    assert done.returncode == code or (code is None and done.returncode in (0, 1)), done.stderr
    assert b"Traceback" not in done.stdout + done.stderr
