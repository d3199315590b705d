"""A station that ends by a fault of native code says where each of its threads was: its log is all that is left."""

import subprocess
import sys

from tests import ROOT
from tests.station.stations import write_station

BROKEN = """\
import ctypes
import resource

resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

def device(outputs):
    return {"a": ctypes.string_at(0)}
"""


def test_the_log_names_the_thread(tmp_path, socket_folder):
    path = write_station(tmp_path)
    (tmp_path / "device.py").write_text(BROKEN)
    command = [sys.executable, "-m", "station", "run", path, "--socket", socket_folder / "s", "--seconds", "60"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
    assert done.returncode == -11, done.stderr
    assert "Fatal Python error: Segmentation fault" in done.stderr
    assert "in device" in done.stderr.partition("Current thread")[2].splitlines()[2]
