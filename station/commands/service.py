"""The commands `service ...`: a station that starts at boot, under systemd."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from station.commands.shared.explaining import explained, say
from station.commands.shared.options import StationFileArgument
from station.errors import ExitCode, ServiceError
from station.machine.service import CACHE, SHARED, USER, Service, user_in

if TYPE_CHECKING:
    from rt_native.terminal import Terminal
    from station.file.config import StationConfig

ORDER = 180
SYSTEMD_RUNS = Path("/run/systemd/system")  # sd_booted(3)
FIRST_FREE_PORT = 1024
service = typer.Typer(help="Have a station start at boot, as a service of systemd.", no_args_is_help=True)

RootOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Write below this folder, for an image of a system; start and compile nothing."),
]
UserOption = Annotated[str, typer.Option(help="Who runs the station; the default is made if it is not there.")]


@service.command()
def install(
    station: StationFileArgument = Path("station.toml"),
    user: UserOption = USER,
    root: RootOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show every file, and do nothing.")] = False,
) -> None:
    """Write unit, user, rights and folders; compile the kernels; start at boot. Again after an upgrade of rt-engine."""
    from rt_native.terminal import Terminal

    console = Terminal()
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", user):
        raise typer.BadParameter(f"{user!r} is no name of a user", param_hint="--user")
    with explained(Terminal(stderr=True)):
        from station.file.reading import read_station

        made = _service(station, read_station(station).config, user)
        if dry_run:
            for path, text in made.files().items():
                say(console, f"{path}\n", "bold")
                say(console, text)
            return
        if root is None:
            _require_systemd()
            _require_common(made)
        for path, text in made.files().items():
            _write(_below(root, path), text)
            say(console, f"wrote {_below(root, path)}")
        _link(_below(root, made.link), made.path)
        if root is None:
            _prepare(console, made)
            say(console, f"{made.unit} starts at boot; now: sudo systemctl start {made.unit}")
        else:
            again = f"sudo rt-engine service install {shlex.quote(str(made.file))} --user {made.user}"
            say(
                console, f"{made.unit} starts at boot of that system; without kernels it ends with exit code 6: {again}"
            )


@service.command()
def remove(station: StationFileArgument = Path("station.toml"), root: RootOption = None) -> None:
    """Stop the service (outputs safe), and remove what was installed; the last one takes what all share with it."""
    from rt_native.terminal import Terminal

    console = Terminal()
    with explained(Terminal(stderr=True)):
        made = _named(station)
        unit = _below(root, made.path)
        if not unit.exists():
            raise ServiceError(f"{unit} is not there: nothing is installed for station {made.station}")
        if root is None:
            _require_systemd()
            _run("systemctl", "stop", made.unit)
        is_last = [path.name for path in unit.parent.glob("rt-engine-*.service")] == [made.unit]
        for path in (made.link, made.path, *(SHARED if is_last else ())):
            _below(root, path).unlink(missing_ok=True)
            say(console, f"removed {_below(root, path)}")
        if is_last:
            shutil.rmtree(_below(root, CACHE), ignore_errors=True)
        if root is None:
            _run("systemctl", "daemon-reload")


@service.command()
def status(station: StationFileArgument = Path("station.toml"), root: RootOption = None) -> None:
    """Is it installed as it would be now, are its kernels there, does it run? Ends with 0 if so."""
    from rt_native.terminal import Terminal

    console = Terminal()
    with explained(Terminal(stderr=True)):
        from station.file.reading import read_station

        made = _named(station)
        unit = _below(root, made.path)
        if not unit.exists():
            say(console, f"not installed: sudo rt-engine service install {station}", "yellow")
            raise typer.Exit(ExitCode.FAILED)
        made = _service(station, read_station(station).config, user_in(unit.read_text("utf-8")) or USER)
        is_current = unit.read_text("utf-8") == made.text()
        again = f"sudo rt-engine service install {station} --user {made.user}"
        say(console, f"unit     {unit}: {'as it should be' if is_current else f'another text now: {again}'}")
        is_ready = _are_kernels_ready(_below(root, made.cache))
        say(console, f"kernels  {_below(root, made.cache)}: {'ready' if is_ready else f'not compiled: {again}'}")
        state = _answer("systemctl", "is-active", made.unit) if root is None and SYSTEMD_RUNS.is_dir() else ""
        say(console, f"state    {state or 'unknown: no systemd runs here'}")
        if not is_current:
            raise typer.Exit(ExitCode.FAILED)
        if not is_ready:
            raise typer.Exit(ExitCode.NO_KERNELS)
        if state not in ("", "active"):
            raise typer.Exit(ExitCode.NOT_RUNNING)


def _named(station: Path) -> Service:
    """The service of a station by its name alone: its file may be wrong meanwhile."""
    from station.file.reading import read_name
    from station.terms.tables import NAME_PATTERN

    name = read_name(station)
    if not re.fullmatch(NAME_PATTERN, name):
        raise ServiceError(f"{station}: [station] name: {name!r} is no name, so nothing is installed under it")
    return Service(name, station.resolve(), _program())


def _service(station: Path, config: StationConfig, user: str) -> Service:
    ports = [getattr(table, "port", None) for table in config.servers.values()]
    return Service(
        config.station.name,
        station.resolve(),
        _program(),
        user,
        tuple(_groups(config)),
        any(isinstance(port, int) and port < FIRST_FREE_PORT for port in ports),
        tuple(dict.fromkeys(right for link in config.links.values() for right in link.rights)),
    )


def _program() -> Path:
    """`rt-engine` beside the interpreter that runs this."""
    program = Path(sys.executable).with_name("rt-engine")
    if not program.exists():
        raise ServiceError(f"{program} is not there: install rt-engine into the Python that is meant to run it")
    return program


def _groups(config: StationConfig) -> list[str]:
    """Groups that may open the devices (/dev/...) which links and servers name, as far as they are here."""
    import grp

    named = [value for table in (*config.links.values(), *config.servers.values()) for _, value in table]
    devices = [Path(value) for value in named if isinstance(value, str) and value.startswith("/dev/")]
    numbers = {device.stat().st_gid for device in devices if device.exists()} - {0}
    return sorted(grp.getgrgid(number).gr_name for number in numbers)


def _require_systemd() -> None:
    if not SYSTEMD_RUNS.is_dir():
        raise ServiceError("no systemd runs here; --root DIR writes the files for another system, --dry-run shows them")
    if os.geteuid() != 0:
        raise ServiceError(f"only root can do that: sudo {_program()} service ...")


def _require_common(made: Service) -> None:
    """Compiled libraries of a wheel are root's, or the service's user's: another's are not run."""
    from rt_native import shipped

    try:
        owner = shipped.FOLDER.stat().st_uid
    except OSError:  # a clone: kernels are compiled by the service's user
        return
    if owner not in (0, _number_of(made.user)):
        raise ServiceError(
            f"{made.program} was installed by {_name_of(owner)}, and {made.user} runs no code that {_name_of(owner)} could change. "
            "Install it as root, where all can read it:\n"
            "  sudo python3 -m venv /opt/rt-engine\n"
            "  sudo /opt/rt-engine/bin/pip install THE-WHEEL\n"
            f"  sudo /opt/rt-engine/bin/rt-engine service install {shlex.quote(str(made.file))}\n"
            f"or take the Debian package; or run it as this user: --user {_name_of(owner)}"
        )


def _number_of(user: str) -> int:
    import pwd

    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:  # made later
        return -1


def _name_of(number: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _below(root: Path | None, path: Path) -> Path:
    return path if root is None else root / path.relative_to("/")


def _write(path: Path, text: str) -> None:
    """Whole, and readable by everybody, whatever the mask."""
    draft = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text, encoding="utf-8")
        draft.chmod(0o644)
        draft.replace(path)
    except OSError as error:
        raise ServiceError(f"{path} cannot be written: {error.strerror}") from error


def _link(path: Path, to: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(to)


def _prepare(console: Terminal, made: Service) -> None:
    """User, rights, and kernels: compiled by the service's user, since his own steps are run for that."""
    import pwd

    _run("systemd-sysusers", str(next(iter(SHARED))))
    try:
        user = pwd.getpwnam(made.user)
    except KeyError:
        raise ServiceError(f"there is no user {made.user}; make one, or leave --user out") from None
    if shutil.which("udevadm"):
        _run("udevadm", "control", "--reload")
        _run("udevadm", "trigger", "--name-match=cpu_dma_latency")
    CACHE.mkdir(parents=True, exist_ok=True)
    made.cache.mkdir(exist_ok=True)
    os.chown(made.cache, user.pw_uid, user.pw_gid)
    say(
        console,
        f"compiling what neither the package nor {made.cache} has yet, as user {made.user} (a few minutes the first time)",
    )
    environment = {"PATH": "/usr/bin:/bin", "CACHE_DIRECTORY": str(made.cache), "HOME": user.pw_dir}
    _run(
        *(str(made.program), "kernels", str(made.file)),
        **{"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "env": environment, "cwd": "/"},
    )
    _run("systemctl", "daemon-reload")


def _are_kernels_ready(cache: Path) -> bool:
    """Are all objects of this version, for this machine, in the service's cache, or in the wheel?"""
    from rt_native import shipped
    from station.running.libraries import libraries

    # Not `library.shipped()`: what whoever asks has compiled for himself says nothing of the service's user.
    compiled = [library for library in libraries() if shipped.find(library.modules, None) is None]
    names = [path.name for library in compiled for path in library.objects().values()]
    return all((cache / "rt-engine" / name).is_file() for name in names)


def _run(*command: str, **how: Any) -> None:
    try:
        code = subprocess.run(command, check=False, **how).returncode
    except OSError as error:
        raise ServiceError(f"{command[0]} cannot be run as this user: {error.strerror}") from error
    if code:
        raise ServiceError(f"{' '.join(command)} failed ({code}); what it says stands above")


def _answer(*command: str) -> str:
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()
