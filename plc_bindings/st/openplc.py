"""For OpenPLC: a whole program to upload, and a sample for its own Modbus master.

mbconfig.cfg     device0: writes %QW100 .. to the inputs of a model, reads status, version, outputs into %IW100 ..
PRG_<model>_Master   the program that packs the one and unpacks the other

OpenPLC numbers what its devices read and write on and on, from 100. It reads before it writes, so a result is that of the poll before.
"""

from __future__ import annotations

from importlib.resources import files
from string import Template
from typing import Final

from plc_bindings.st import portable, registers
from plc_bindings.st.project import Exported, Modbus, Project, comment

MOST_WRITTEN: Final = 123
MOST_READ: Final = 125
"""Registers of one message of its master, which has one message a device and direction."""
_FIRST: Final = 100
_PLACES: Final = 400
"""Registers that all devices together may have, each way."""
_CONFIG: Final = """Num_Devices = "{count}"
Polling_Period = "10"
Timeout = "100"
"""
_DEVICE: Final = """
# ------------
#   DEVICE {i}
# ------------
device{i}.name = "{name}"
device{i}.slave_id = "{unit}"
device{i}.protocol = "TCP"
device{i}.address = "{host}"
device{i}.IP_Port = "{port}"
device{i}.RTU_Baud_Rate = "115200"
device{i}.RTU_Parity = "None"
device{i}.RTU_Data_Bits = "8"
device{i}.RTU_Stop_Bits = "1"
device{i}.RTU_TX_Pause = "0"

device{i}.Discrete_Inputs_Start = "0"
device{i}.Discrete_Inputs_Size = "0"
device{i}.Coils_Start = "0"
device{i}.Coils_Size = "0"
device{i}.Input_Registers_Start = "0"
device{i}.Input_Registers_Size = "0"
device{i}.Holding_Registers_Read_Start = "{result_at}"
device{i}.Holding_Registers_Read_Size = "{result}"
device{i}.Holding_Registers_Start = "{inputs_at}"
device{i}.Holding_Registers_Size = "{inputs}"
"""


def configuration(program: str) -> str:
    """The part of a file that says which program runs."""
    return _library("CONFIGURATION", program=program)


def _library(file: str, **values: object) -> str:
    text = (files(__package__) / "library" / "portable" / f"{file}.st").read_text(encoding="utf-8")
    return Template(text).substitute(values)


def master(project: Project, modbus: Modbus) -> tuple[str, str]:
    """(mbconfig.cfg, its programs' text) of the models that fit a message and the master's memory; no text: none fits."""
    devices, programs, count = "", "", 0
    written = read = _FIRST
    for model in project.models:
        at = modbus.registers[model.name]
        inputs = registers.count(model.signature.inputs)
        result = portable.HEADER_REGISTERS + registers.count(model.signature.outputs)
        last = max(written + inputs, read + result) - _FIRST
        if inputs > MOST_WRITTEN or result > MOST_READ or last > _PLACES:
            continue
        devices += _DEVICE.format(
            i=count,
            name=model.identifier,
            unit=modbus.unit,
            host=modbus.host,
            port=modbus.port,
            result_at=at.result,
            result=result,
            inputs_at=at.inputs,
            inputs=inputs,
        )
        programs += _program(model, modbus, (written, inputs), (read, result))
        written, read, count = written + inputs, read + result, count + 1
    return _CONFIG.format(count=count) + devices, programs


def _program(model: Exported, modbus: Modbus, to: tuple[int, int], from_: tuple[int, int]) -> str:
    order, signature = modbus.order, model.signature
    pack = registers.pack(signature.inputs, order)
    unpack = registers.unpack(signature.outputs, order, portable.HEADER_REGISTERS)
    sent, came = (
        [(f"{name}{i}", f"%{area}{first + i}") for i in range(count)]
        for name, area, (first, count) in (("nTo", "QW", to), ("nFrom", "IW", from_))
    )
    places = "".join(f"    {name} AT {where} : UINT;\n" for name, where in (*sent, *came))
    return _library(
        "PRG_RtMaster",
        model=comment(model.name),
        config="mbconfig.cfg",
        program=f"PRG_{model.identifier}_Master",
        name=model.identifier,
        places=places,
        variables=portable.variables("\n".join(pack + unpack)),
        pack="".join(f"{line}\n" for line in pack),
        send="".join(f"{name} := aRegisters[{i}];\n" for i, (name, _) in enumerate(sent)),
        receive="".join(f"aRegisters[{i}] := {name};\n" for i, (name, _) in enumerate(came)),
        status=registers.joined(["aRegisters[0]", "aRegisters[1]"], order),
        version=registers.joined(["aRegisters[2]", "aRegisters[3]"], order),
        unpack="".join(f"    {line}\n" for line in unpack),
    )
