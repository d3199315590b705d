"""Units of Structured Text as files in a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from plc_bindings.st import portable, twincat
from plc_bindings.st.plcopen import plcopen_xml
from plc_bindings.st.project import Ads, Modbus, Project
from plc_bindings.st.twincat_files import twincat_file


def twincat_files(project: Project, ads: Ads) -> dict[str, str]:
    """File name -> text: each unit as a file of a TwinCAT project, and all in one PLCopen XML."""
    units = twincat.units(project, ads)
    return dict(twincat_file(unit, project.name) for unit in units) | {
        f"{project.name}.xml": plcopen_xml(units, project.name)
    }


def portable_files(project: Project, modbus: Modbus) -> dict[str, str]:
    """File name -> text: all blocks in one plain file, the example in another, all in one PLCopen XML; CODESYS' transport."""
    units = portable.units(project, modbus)
    library = [unit for unit in units if unit.name not in portable.EXAMPLES]
    example = [unit for unit in units if unit.name in portable.EXAMPLES]
    return {
        f"{project.name}.st": "\n".join(unit.text for unit in library),
        f"{project.name}_example.st": "\n".join(unit.text for unit in example),
        f"{project.name}_codesys.st": portable.codesys_transport(modbus).text,
        f"{project.name}.xml": plcopen_xml(units, project.name),
    }


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
