"""For OpenPLC: a whole program to upload, and a sample for its own Modbus master.

mbconfig.cfg     two devices a model, so two connections. The first reads the hash of its interface, the second the result
                 (status, version, outputs), and writes the inputs (%QW100 ..); both then read the seconds that the station runs
PRG_<model>_Master   the program that packs and unpacks, and does not believe what no longer moves: the master keeps what it read
                 last, and tells nobody that it reads no more

OpenPLC numbers what its devices read and write on and on, from 100: input registers (here the hash, or the result), then the
holding registers it reads (here the seconds). A device that fails is asked no further in that poll, so seconds that move are those
of a result that came. It reads before it writes: a result is that of the poll before, and on a new connection, where nothing is
written yet, status 201. The hash comes first: a station that is back with another model is known before its result is read.
"""

from __future__ import annotations

from importlib.resources import files
from string import Template
from typing import Final

from plc_bindings.st import portable, registers
from plc_bindings.st.project import Exported, Modbus, Project, comment
from plc_bindings.status import CallStatus

MOST_WRITTEN: Final = 123
MOST_READ: Final = 125
"""Registers of one message of its master, which has one message of a kind for each device."""
_HASH: Final = 2
_SECONDS: Final = 4
_WATCHED: Final = _HASH + 2 * _SECONDS
"""Registers that are read beside a result: the hash, and the seconds over both connections."""
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
device{i}.Input_Registers_Start = "{read_at}"
device{i}.Input_Registers_Size = "{read}"
device{i}.Holding_Registers_Read_Start = "{seconds_at}"
device{i}.Holding_Registers_Read_Size = "{seconds}"
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
        last = max(written + inputs, read + _WATCHED + result) - _FIRST
        if inputs > MOST_WRITTEN or result > MOST_READ or last > _PLACES:
            continue
        for name, read_at, size, inputs_at, wide in (
            (f"{model.identifier}_hash", at.hash, _HASH, 0, 0),
            (model.identifier, at.result, result, at.inputs, inputs),
        ):
            devices += _DEVICE.format(
                i=count,
                name=name,
                unit=modbus.unit,
                host=modbus.host,
                port=modbus.port,
                read_at=read_at,
                read=size,
                seconds_at=modbus.running,
                seconds=_SECONDS,
                inputs_at=inputs_at,
                inputs=wide,
            )
            count += 1
        programs += _program(model, modbus, (written, inputs), (read, result))
        written, read = written + inputs, read + _WATCHED + result
    return _CONFIG.format(count=count) + devices, programs


def _program(model: Exported, modbus: Modbus, to: tuple[int, int], from_: tuple[int, int]) -> str:
    order, signature = modbus.order, model.signature
    pack = registers.pack(signature.inputs, order)
    unpack = registers.unpack(signature.outputs, order, portable.HEADER_REGISTERS)
    first, result = from_
    sent, hashes, came, *seconds = (
        [(f"{name}{i}", f"%{area}{first + i}") for i in range(count)]
        for name, area, first, count in (
            ("nTo", "QW", *to),
            ("nHash", "IW", first, _HASH),
            ("nFrom", "IW", first + _HASH + _SECONDS, result),
            ("nHashSeconds", "IW", first + _HASH, _SECONDS),
            ("nResultSeconds", "IW", first + _HASH + _SECONDS + result, _SECONDS),
        )
    )
    places = "".join(
        f"    {name} AT {where} : UINT;\n" for name, where in (*sent, *hashes, *came, *seconds[0], *seconds[1])
    )
    moving = [registers.joined([name for name, _ in part], order) for part in seconds]
    expected = registers.of_number(signature.hash, _HASH, order)
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
        same=" AND ".join(f"{name} = {word}" for (name, _), word in zip(hashes, expected, strict=True)),
        hash_seconds=moving[0],
        result_seconds=moving[1],
        other=CallStatus.OTHER_INTERFACE.value,
    )
