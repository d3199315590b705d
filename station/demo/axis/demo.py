"""`rt-engine demo --ethercat`: a network holds a simulated axis at 1 kHz, over a simulated bus.

    bus process  <--EtherCAT, on a pair of virtual interfaces-->  station process  <--control socket-->  this process
         ^--------------------------- standard input ---------------------------------------------------'

All three are in a network of their own (`station.demo.axis.network`), so nothing of this computer's network is touched.
"""

from __future__ import annotations

import os
import shutil
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from fieldbus.errors import ConfigurationError
from fieldbus.ethercat.clock.clock_memory import NATIVE as CLOCK
from fieldbus.ethercat.drives.drives import NATIVE as DRIVES
from fieldbus.ethercat.simulated.native import NATIVE as ESCS
from fieldbus.ethercat.simulated.slave import NATIVE as DEVICES
from fieldbus.ethercat.wire import soem
from station.demo.axis.network import MASTER, SLAVES, cable
from station.demo.axis.story import AxisStory
from station.demo.processes import DemoError, bus_process, new_store, station_process
from station.demo.screen import Screen
from station.demo.trajectory import Drawn, trajectory_svg
from station.running.places import socket_path

HERE: Final = Path(__file__).parent
NETWORK: Final = HERE / "hold-v1.onnx"
BUS: Final = ("coupler", "ao2", "ai2", "drive:load=0.05")
PICTURE: Final = "trajectory.svg"
EXPECTED_S: Final = 25.0
DRAWN: Final = Drawn(
    "Position and reference of the axis in rad, by the drive's own word",
    ((-0.8, "-0.8"), (0.0, "0"), (0.8, "+0.8")),
    "not held",
)


def build() -> None:
    """What is compiled once, with a progress bar, before any clock runs."""
    for library in (ESCS, DEVICES, DRIVES, CLOCK):
        library.build()


def station_file(folder: Path) -> Path:
    """A copy of the demo's station.toml with all that it names, and a store of its own."""
    for name in ("setpoint.py", NETWORK.name):
        shutil.copyfile(HERE / name, folder / name)
    text = (HERE / "station.toml").read_text(encoding="utf-8")
    for old, new in (
        ('name = "demo-axis"\n', f'name = "demo-axis"\nstore = "{new_store(folder)}"\n'),
        ('interface = "bus0"\n', f'interface = "{MASTER}"\n'),
    ):
        assert old in text, f"station.toml of the demo must contain {old!r}"
        text = text.replace(old, new)
    file = folder / "station.toml"
    file.write_text(text, encoding="utf-8")
    return file


async def play(folder: Path, warning: str, screen: Screen) -> AxisStory:
    """The whole story; leaves the station's report and a picture in the folder.

    Raises:
        DemoError: it cannot be played here, or cannot go on.
    """
    try:
        soem.library()
    except ConfigurationError as error:
        raise DemoError(str(error)) from error
    control = socket_path(f"demo-axis-{os.getpid()}")
    with cable():
        async with AsyncExitStack() as stack:
            bus = await stack.enter_async_context(bus_process(SLAVES, BUS))
            screen.title("A servo axis, held by a neural network over EtherCAT")
            if warning:
                screen.say(warning, "yellow")
            screen.say(f"bus     process {bus.pid}: simulated {', '.join(name.partition(':')[0] for name in BUS)}")
            file = station_file(folder)
            station = await stack.enter_async_context(station_process(file, folder, control, folder / "station.log"))
            story = AxisStory(bus, station, screen, str(NETWORK), str(HERE / "hold-v2.onnx"))
            await story.play()
            screen.act("The station ends")
            await story.end()
    (folder / PICTURE).write_text(trajectory_svg(story.history(), story.record.moments, DRAWN), encoding="utf-8")
    return story
