"""The example in C++, as a user builds it: against the shared library, without Python in the process."""

import re
import subprocess
import time
from pathlib import Path

import pytest

from plc_bindings.c import EXAMPLE, FOLDER
from rt_engine.program.rtp_file import write
from tests.plc_bindings.c.models import lstm, policy
from tests.plc_bindings.c.toolchain import run

pytestmark = pytest.mark.peer("gcc", "g++")


@pytest.fixture(scope="module")
def example(plain):
    """The program, beside its library."""
    shared, program = plain.shared(), plain.folder / "example"
    flags = ("-std=c++14", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O2", "-s", f"-I{FOLDER}")
    run("g++", *flags, FOLDER / EXAMPLE, shared, "-Wl,-rpath,$ORIGIN", "-o", program, "-pthread")
    return program


@pytest.fixture(scope="module")
def versions(tmp_path_factory):
    """Two versions of a policy, and a model with another interface."""
    folder = tmp_path_factory.mktemp("versions")
    models = {"old": policy(0), "new": policy(1), "other": lstm()}
    for name, model in models.items():
        write(model.program, folder / f"{name}.rtp")
    return [folder / f"{name}.rtp" for name in models]


def test_outputs_change_at_one_cycle_of_the_loop(example, versions):
    """The loop meets an update that another thread makes; meanwhile nothing of Python is in the process."""
    command, mapped = [str(example), *map(str, versions[:2]), "2500"], set()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            maps = Path(f"/proc/{process.pid}/maps").read_text()  # nothing, once it has ended
            mapped |= {line.split()[-1] for line in maps.splitlines() if "/" in line}
            time.sleep(0.1)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    assert re.findall(r"outputs changed at cycle \d+ \(version (\d+) -> (\d+)\)", out) == [("1", "2")]
    assert sum(map(int, re.findall(r"below +\d+ +(\d+)", out))) == 2500
    assert any("librt_engine.so" in name for name in mapped)
    assert not [name for name in mapped if re.search("python|numba|llvm", name, re.I)]


def test_another_interface_ends_with_the_reason(example, versions):
    """The status, its name and what differs."""
    done = subprocess.run([example, versions[0], versions[2], "100"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert (
        done.stderr
        == "update: 307 OTHER_INTERFACE: the new model's inputs differ from the running one's in name, shape or type\n"
    )
