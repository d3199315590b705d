"""What files of other masters say of a bus: which kind one is."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from station.errors import ScanError
from station.scans.shared.ethercat_eni import bus_of_eni
from station.scans.shared.ethercat_lcec import bus_of_lcec
from station.scans.shared.ethercat_proposal import BusWanted
from station.scans.shared.foreign_xml import read_xml

_ESI: Final = "EtherCATInfo"


def read_bus(path: Path, interface: str, made_by: str, master: int | None = None) -> BusWanted:
    """The bus that a file describes.

    Args:
        interface: for the station file: such files do not say it.
        master: which one, of a file with several; None: the only one.

    Raises:
        ScanError: it is no such file, or contradicts itself; says where.
    """
    root = read_xml(path)
    if root.tag == "masters":
        return bus_of_lcec(root, interface, made_by, master)
    if root.tag == "EtherCATConfig":
        return bus_of_eni(root, interface, made_by)
    if root.tag == _ESI:
        raise ScanError(
            f"{path} describes a kind of slave (ESI), no bus; what slaves are and exchange, they say: rt-engine ethercat scan"
        )
    raise ScanError(f"{path} begins with <{root.tag}>; LinuxCNC's begins with <masters>, ENI with <EtherCATConfig>")
