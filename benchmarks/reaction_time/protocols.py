"""What differs between Modbus TCP and ADS: the device, the C program, the link of the station file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.reaction_time.device import Devices

HERE: Final = Path(__file__).parent
FILE: Final = """\
[station]
name = "reaction-time"
status_lines = false

[models.follow]
file = "small.onnx"

[links.device]
{link}
cycle = "1 ms"
{keys}
[tags]
x = {{ address = "{x}", count = 4 }}
y = {{ address = "{y}", count = 4, direction = "out", safe = -1 }}

[tasks.follow]
model = "follow"
cycle = "1 ms"
inputs = ["x"]
outputs = ["y"]
{task_keys}"""


@dataclass(frozen=True, slots=True)
class Protocol:
    """Sources of the device and of the C program, where that finds the device, and the station's link to it."""

    device: str
    rival: str
    libraries: tuple[str, ...]
    words: Callable[[Devices], list[str]]
    """Arguments of the C program."""
    link: Callable[[Devices], str]
    """The station's table, without cycle."""
    x: str
    y: str
    targets: dict[float, float]
    """Percentile -> the greatest ratio to the C program that we want of a station that exchanges in its cycle."""

    def station_file(self, devices: Devices, keys: str | None, cpu: int | None) -> str:
        """The text of a station file, with more keys of the link, and the task's processor."""
        task_keys = "" if cpu is None else f"cpu = {cpu}\n"
        return FILE.format(link=self.link(devices), keys=keys, x=self.x, y=self.y, task_keys=task_keys)


PROTOCOLS: Final = {
    "modbus": Protocol(
        device="device.c",
        rival="rival.c",
        libraries=("-lmodbus",),
        words=lambda devices: [str(devices.ports[0])],
        link=lambda devices: f'type = "modbus-tcp"\nhost = "{devices.host}"\nport = {devices.ports[0]}',
        x="holding 100",
        y="holding 0",
        targets={50.0: 1.3, 99.9: 2.0},
    ),
    "ads": Protocol(
        device="ads_device.c",
        rival="ads_rival.c",
        libraries=(),
        words=lambda devices: [devices.host],
        link=lambda devices: f'type = "ads"\nhost = "{devices.host}"\nams_net_id = "{devices.host}.1.1"',
        x="MAIN.x",
        y="MAIN.y",
        targets={50.0: 1.5, 99.9: 3.0},
    ),
}
