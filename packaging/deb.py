"""`make deb`: the Debian package, of a wheel of `make wheels`, with dpkg-deb alone.

    /opt/rt-engine                            packaging/tree.py: rt-engine and what it needs, for the system's Python
    /usr/bin/rt-engine                        a link to its command
    /lib/systemd/system/rt-engine.service     the text of `rt-engine service install`, for one station
    /etc/rt-engine/station.toml               that station, a conffile
    /lib/udev/rules.d/70-rt-engine.rules      cores stay awake while a station runs

The same wheel, tools and $SOURCE_DATE_EPOCH give the same bytes.
"""

import argparse
import gzip
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from email.utils import formatdate
from pathlib import Path

import tree

from rt_native.version import TEXT
from station.machine.service import AWAKE, PACKAGED, Service

PARTS = Path(__file__).with_name("deb")
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
FILE = Path("/etc/rt-engine/station.toml")
NAME = "station"
"""Of the station in that file, as the unit says it."""
WHO = f"{os.environ.get('DEBFULLNAME', 'rt-engine')} <{os.environ.get('DEBEMAIL', 'rt-engine@localhost')}>"
EPOCH = 315532800
"""1980-01-01, where nobody gives a time."""

CONTROL = """\
Package: rt-engine
Version: {version}
Architecture: {architecture}
Maintainer: {who}
Installed-Size: {size}
Depends: {python}, libc6 (>= 2.28), libstdc++6, adduser
Section: science
Priority: optional
Description: real-time neural-network inference for machine controllers
 It loads an ONNX model, compiles it to an allocation-free program, and runs
 it inside cyclic control tasks next to the PLC, over Modbus, ADS, OPC UA and
 MQTT. One station runs as rt-engine.service, from /etc/rt-engine/station.toml,
 once it is enabled.
"""
OVERRIDES = {
    "bogus-mail-host": "who builds a package for others says who he is: $DEBFULLNAME, $DEBEMAIL",
    "bogus-mail-host-in-debian-changelog": "the same",
    "dir-or-file-in-opt": "packages that are not Debian's belong there (FHS 3.13); images have the same path",
    "library-not-linked-against-libc": "wheels are taken as they are",
    "maintainer-script-calls-systemctl": "only where systemd runs; no debhelper is needed to build it",
    "no-manual-page": "rt-engine --help, docs/",
    "package-installs-python-pycache-dir": "for the one Python that it depends on; who runs it may not write beside it",
    "script-not-executable": "files of packages, which nobody runs as scripts",
    "shared-library-lacks-prerequisites": "native code calls functions of libc, which is there, and names no library",
    "unstripped-binary-or-object": "wheels are taken as they are: to strip NumPy's libraries breaks them",
    "unusual-interpreter": "the one beside the command, with its packages; or that of who made a package's file",
}
"""Tag of lintian -> why it stays."""


def lay_out(wheel: Path, root: Path, when: int) -> None:
    """All files of the package below `root`."""
    tree.make(wheel, root / "opt/rt-engine", tree.PREFIX, tree.EXTRAS, has_sources=True)
    program = tree.PREFIX / "bin/rt-engine"
    unit = Service(NAME, FILE, program, is_packaged=True).text()
    rule = f"# Stations keep the cores out of deep sleep.\n{AWAKE}"
    change = f"rt-engine ({TEXT}) stable; urgency=low\n\n  * See CHANGELOG.md.\n\n -- {WHO}  {formatdate(when)}\n"
    overrides = "".join(f"# {why}\nrt-engine: {tag} *\n" for tag, why in OVERRIDES.items())
    doc = Path("usr/share/doc/rt-engine")
    files = {
        FILE.relative_to("/"): (PARTS / "station.toml").read_bytes(),
        Path("lib/systemd/system") / PACKAGED: unit.encode(),
        Path("lib/udev/rules.d/70-rt-engine.rules"): rule.encode(),
        doc / "copyright": (PARTS / "copyright").read_bytes(),
        doc / "changelog.gz": gzip.compress(change.encode(), 9, mtime=0),
        Path("usr/share/lintian/overrides/rt-engine"): overrides.encode(),
    }
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/rt-engine").symlink_to(program)


def control(root: Path, architecture: str) -> None:
    """DEBIAN/: what dpkg reads, and runs."""
    folder = root / "DEBIAN"
    size = sum(path.lstat().st_size for path in root.rglob("*") if not path.is_dir()) // 1024
    folder.mkdir()
    text = CONTROL.format(version=TEXT, architecture=architecture, who=WHO, size=size, python=tree.PYTHON)
    (folder / "control").write_text(text, encoding="utf-8")
    (folder / "conffiles").write_text(f"{FILE}\n", encoding="utf-8")
    sums = subprocess.run(
        "find . -path ./DEBIAN -prune -o -type f -printf '%P\\0' | sort -z | xargs -0 md5sum",
        shell=True, cwd=root, check=True, capture_output=True,
    )  # fmt: skip
    (folder / "md5sums").write_bytes(sums.stdout)
    for name in ("postinst", "prerm", "postrm"):
        shutil.copy(PARTS / name, folder / name)


def make(wheel: Path, folder: Path) -> Path:
    """The package in `folder`.

    Raises:
        subprocess.CalledProcessError: pip or dpkg-deb failed; their words are on stderr.
        ValueError: the wheel is for no kind of machine that Debian has a name for.
    """
    machine = next((name for name in ARCHITECTURES if wheel.stem.endswith(name)), None)
    if machine is None:
        raise ValueError(f"{wheel.name} is for none of {', '.join(ARCHITECTURES)}: expected a wheel of make wheels")
    when = int(os.environ.get("SOURCE_DATE_EPOCH", EPOCH))
    with tempfile.TemporaryDirectory() as text:
        root = Path(text) / "root"
        root.mkdir(mode=0o755)
        lay_out(wheel, root, when)
        control(root, ARCHITECTURES[machine])
        for path in (root, *root.rglob("*")):
            if not path.is_symlink():
                runs = path.is_dir() or path.parent in (root / "opt/rt-engine/bin", root / "DEBIAN")
                runs = runs and path.name not in ("control", "conffiles", "md5sums")
                path.chmod(0o755 if runs else 0o644)
        folder.mkdir(parents=True, exist_ok=True)
        made = folder / f"rt-engine_{TEXT}_{ARCHITECTURES[machine]}.deb"
        command = ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", str(root), str(made)]
        subprocess.run(
            command, check=True, env=os.environ | {"SOURCE_DATE_EPOCH": str(when)}, stdout=subprocess.DEVNULL
        )
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="deb.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("wheel", type=Path, nargs="?", help="by default the newest of this machine in dist")
    parser.add_argument("-o", "--output", type=Path, default=Path("dist"), help="folder of the package")
    asked = parser.parse_args(arguments)
    there = sorted(Path("dist").glob(f"*{os.uname().machine}.whl"), key=lambda path: path.stat().st_mtime)
    wheel = asked.wheel or (there[-1] if there else None)
    if wheel is None:
        sys.exit("there is no wheel in dist: make wheels")
    started = time.monotonic()
    try:
        made = make(wheel, asked.output)
    except (subprocess.CalledProcessError, ValueError, OSError) as error:
        sys.exit(f"no package was made: {error}")
    print(f"{made}  {made.stat().st_size / 2**20:.1f} MiB, {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
