"""Packages from npm, installed once into the cache, at versions that are named here; scripts run with them."""

import fcntl
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from rt_native.cache import cache_folder
from tests import need

PACKAGES = (
    "ads-client@2.1.0", "node-ads@1.5.1", "modbus-serial@8.0.25", "jsmodbus@5.0.0",
    "@mcap/core@2.2.2", "@foxglove/rosmsg@5.0.5", "@foxglove/rosmsg2-serialization@3.1.0", "fzstd@0.1.1",
    "sparkplug-client@3.2.4",
    "node-opcua-client@2.182.2", "node-opcua-server@2.182.2",
)  # fmt: skip
HERE = Path(__file__).parent
INSTALL_S = 240
MOST_SAID = 500
"""Characters of what npm says: first is what happened, last where its log is."""


def modules() -> Path:
    """The folder node_modules with all of `PACKAGES`; without npm or without the registry the test is skipped."""
    need.program("node")
    need.program("npm")
    folder = cache_folder() / "npm" / "-".join(PACKAGES).replace("@", "_").replace("/", "_")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:  # test runs beside each other
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "installed").exists():
            if why := _install(folder):
                need.lacking("packages from npm", f"npm install {' '.join(PACKAGES)} ({why})")
            (folder / "installed").touch()
    return folder / "node_modules"


def _install(folder: Path) -> str:
    """Why they cannot be had, as npm says it; empty: they are there."""
    # modbus-serial's serial ports are compiled or downloaded by a script; TCP needs none of it.
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder), *PACKAGES]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_S)
    except subprocess.TimeoutExpired:
        return f"it had not ended after {INSTALL_S} s"
    return " ".join(done.stderr.split())[:MOST_SAID] if done.returncode else ""


def run(script: str, *arguments: str) -> dict[str, Any]:
    """{feature: what came of it}, as the script prints it."""
    environment = {**os.environ, "NODE_PATH": str(modules())}
    command = ["node", str(HERE / script), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0 and done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
