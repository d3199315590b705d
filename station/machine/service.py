"""A station as a service of systemd: the files that make it one, as text. Nothing is written or run here.

/etc/systemd/system/rt-engine-NAME.service      who runs what, with which rights; one for each station
/etc/sysusers.d/rt-engine.conf                  user and group rt-engine            } shared by
/etc/udev/rules.d/70-rt-engine.rules            /dev/cpu_dma_latency for the group  } all stations
/usr/lib/systemd/system/rt-engine.service       the same of a Debian package, for one station (packaging/deb.py)
/run/rt-engine-NAME, /var/lib/rt-engine/NAME    made by systemd: control socket; reports where the station's folder is closed
/var/cache/rt-engine/USER                       compiled kernels: filled when it is installed, only read by the service
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from station.errors import ExitCode, ServiceError

USER: Final = "rt-engine"
"""Who runs stations unless another user is named; also the group that may keep cores awake."""
UNITS: Final = Path("/etc/systemd/system")
SYSUSERS: Final = Path("/etc/sysusers.d/rt-engine.conf")
UDEV_RULE: Final = Path("/etc/udev/rules.d/70-rt-engine.rules")
CACHE: Final = Path("/var/cache/rt-engine")
STATE: Final = Path("/var/lib/rt-engine")
PACKAGED: Final = "rt-engine.service"
"""The unit of a package of the system, which has one station, /etc/rt-engine/station.toml."""
WANTED_BY: Final = "multi-user.target"
FINAL: Final = (ExitCode.USAGE, ExitCode.BAD_FILE, ExitCode.NOT_RUNNING, ExitCode.NO_KERNELS)
"""Exit codes after which to start again does not help."""

AWAKE: Final = f'KERNEL=="cpu_dma_latency", SUBSYSTEM=="misc", GROUP="{USER}", MODE="0660"\n'
"""The rule of udev by which stations keep the cores out of deep sleep."""
SHARED: Final = {
    SYSUSERS: f'# Written by rt-engine service install.\nu {USER} - "rt-engine stations" /\n',
    UDEV_RULE: f"# Written by rt-engine service install: stations keep the cores out of deep sleep.\n{AWAKE}",
}
"""Files of all stations."""

_TEXT: Final = """\
# {origin}. For changes of your own: systemctl edit {unit}
[Unit]
Description=rt-engine station {station}
After=network-online.target
Wants=network-online.target
# a machine that waits for its network or its device is tried again for ever
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
User={user}
SupplementaryGroups={groups}
WorkingDirectory={folder}
ExecStart={program} run {file}
# kernels are compiled when the service is installed, never while a machine waits
Environment=RT_ENGINE_COMPILE=never
CacheDirectory=rt-engine/{user}
StateDirectory=rt-engine/{station}
RuntimeDirectory={runtime}
RuntimeDirectoryMode=0700
TimeoutStartSec=300
# SIGTERM: outputs safe, safe values written, report written; the same when a task or the station itself hangs
KillSignal=SIGTERM
KillMode=mixed
TimeoutStopSec=30
WatchdogSec=10
WatchdogSignal=SIGTERM
Restart=on-failure
RestartSec=5
RestartPreventExitStatus={final}
LimitRTPRIO=99
LimitMEMLOCK=infinity
OOMScoreAdjust=-500
AmbientCapabilities={capabilities}
CapabilityBoundingSet={capabilities}
NoNewPrivileges=yes
ProtectSystem=full
ReadWritePaths={writes}

[Install]
WantedBy={wanted_by}
"""


@dataclass(frozen=True, slots=True)
class Service:
    """One station as a service: its name, its file, the program, who runs it, and what it needs beyond that."""

    station: str
    file: Path
    program: Path
    user: str = USER
    groups: tuple[str, ...] = ()
    has_low_ports: bool = False
    rights: tuple[str, ...] = ()
    """Capabilities that its links need."""
    is_packaged: bool = False
    """Is it the one that a package of the system brings? What its file says is not known then."""

    def __post_init__(self) -> None:
        if not str(self.file).isprintable():
            raise ServiceError(f"{str(self.file)!r}: a unit cannot name a file with such letters; move it")

    @property
    def unit(self) -> str:
        """The unit's name."""
        return PACKAGED if self.is_packaged else f"rt-engine-{self.station}.service"

    @property
    def path(self) -> Path:
        """Where the unit is."""
        return UNITS / self.unit

    @property
    def link(self) -> Path:
        """The link that starts it at boot."""
        return UNITS / f"{WANTED_BY}.wants" / self.unit

    @property
    def cache(self) -> Path:
        """Compiled kernels of this user's stations, as systemd names it in $CACHE_DIRECTORY."""
        return CACHE / self.user

    def text(self) -> str:
        """The unit."""
        low = ("CAP_NET_BIND_SERVICE",) if self.has_low_ports else ()
        writes = STATE / self.station if self.is_packaged else self.file.parent  # a package's /etc is root's
        capabilities = dict.fromkeys(("CAP_SYS_NICE", "CAP_IPC_LOCK", *low, *self.rights))
        return _TEXT.format(
            unit=self.unit,
            origin="Of the package rt-engine"
            if self.is_packaged
            else "Written by rt-engine service install, which overwrites it",
            station=self.station,
            runtime=self.unit.removesuffix(".service"),
            user=self.user,
            groups=" ".join(dict.fromkeys((USER, *self.groups))),
            folder=str(writes).replace("%", "%%"),
            program=_word(self.program),
            file=_word(self.file).replace("$", "$$"),
            final=" ".join(str(int(code)) for code in FINAL),
            capabilities=" ".join(capabilities),
            writes=_word(writes),
            wanted_by=WANTED_BY,
        )

    def files(self) -> dict[Path, str]:
        """Every file, with its text."""
        return {**SHARED, self.path: self.text()}


def user_in(unit: str) -> str:
    """Who runs it, of the text of a unit; "" where it does not say."""
    found = re.search(r"^User=(.*)$", unit, re.MULTILINE)
    return found[1].strip() if found else ""


def _word(path: Path) -> str:
    """A path as one word of a unit: systemd.syntax(7), systemd.service(5)."""
    text = str(path).replace("%", "%%")
    if re.fullmatch(r"[\w./%@:+,=-]+", text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
