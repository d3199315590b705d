"""Units of Structured Text as files in a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from plc_bindings.st import openplc, portable, twincat
from plc_bindings.st.plcopen import BEREMIZ, plcopen_xml
from plc_bindings.st.project import Ads, Modbus, Project
from plc_bindings.st.twincat_files import twincat_file
from plc_bindings.st.units import Unit

LIBRARY: Final = "rt_engine_blocks"
"""Of the files that stations share."""


def twincat_files(project: Project, ads: Ads) -> dict[str, str]:
    """File name -> text: each unit as a file of a TwinCAT project, and all in one PLCopen XML."""
    units = twincat.units(project, ads)
    return dict(twincat_file(unit, project.name) for unit in units) | {
        f"{project.name}.xml": plcopen_xml(units, project.name)
    }


def portable_files(project: Project, modbus: Modbus) -> dict[str, str]:
    """File name -> text.

    Blocks, transport to fill in with the example, transports of CODESYS and of matiec's family, a sample for OpenPLC's Modbus
    master; as PLCopen XML for CODESYS and for Beremiz; and, where nothing is shared, all of it as one program for OpenPLC.
    """
    units = portable.units(project, modbus)
    empty, program = portable.examples(project, modbus)
    library = [unit for unit in units if unit.name not in (empty.name, program.name)]
    matiec = portable.transport(project, modbus, "matiec")
    whole = [*library, matiec, program]
    config, programs = openplc.master(project, modbus)
    texts = {
        f"{project.name}.st": _joined(library),
        f"{project.name}_example.st": _joined([empty, program]),
        f"{project.name}_codesys.st": portable.transport(project, modbus, "codesys").text,
        f"{project.name}_matiec.st": matiec.text,
        f"{project.name}.xml": plcopen_xml(units, project.name),
        f"{project.name}_beremiz.xml": plcopen_xml(whole, project.name, BEREMIZ),
    }
    if programs:
        texts |= {f"{project.name}_master.st": programs, f"{project.name}_mbconfig.cfg": config}
    if not project.prefix:
        texts[f"{project.name}_openplc.st"] = f"{_joined(whole)}\n{openplc.configuration(program.name)}"
    return texts


def library_files(flavour: str) -> dict[str, str]:
    """File name -> text: what stations with a prefix share."""
    if flavour == "twincat":
        units = twincat.library()
        return dict(twincat_file(unit, LIBRARY) for unit in units) | {f"{LIBRARY}.xml": plcopen_xml(units, LIBRARY)}
    units = portable.library()
    return {
        f"{LIBRARY}.st": _joined(units),
        f"{LIBRARY}.xml": plcopen_xml(units, LIBRARY),
        f"{LIBRARY}_beremiz.xml": plcopen_xml(units, LIBRARY, BEREMIZ),
    }


def _joined(units: Sequence[Unit]) -> str:
    return "\n".join(unit.text for unit in units)


def write(texts: Mapping[str, str], folder: Path) -> list[Path]:
    """Write files into a folder, which is made if it is not there; gives their paths in the order of their names."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, text in sorted(texts.items()):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
        paths.append(path)
    return paths
