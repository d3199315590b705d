"""The programs for OpenPLC's own Modbus master: executed beside a master that does as OpenPLC's does, against our Modbus server."""

import re
import socket
import struct
from dataclasses import replace

import numpy as np
import pytest

import rt_engine
from plc_bindings.st.project import project
from plc_bindings.st.statuses import STATUSES
from plc_bindings.st.write import portable_files
from rt_engine import Model
from tests.plc_bindings.st.evaluator import Program
from tests.plc_bindings.st.exported import POLICY, modbus, square_root, wide
from tests.plc_bindings.st.served import Station
from tests.waiting import PATIENCE_S

X = np.linspace(-0.5, 0.5, 7, dtype=np.float32)
STATUS = {name: number for name, number, _ in STATUSES}
TIMEOUT = 50
"""Cycles, as the program has it."""


class Device:
    """One of mbconfig.cfg: registers at the next places of %IW and %QW; a failure closes its connection."""

    def __init__(self, options: dict[str, str]) -> None:
        names = ("Input_Registers", "Holding_Registers_Read", "Holding_Registers")
        self.spans = [(int(options[f"{name}_Start"]), int(options[f"{name}_Size"])) for name in names]
        self.socket: socket.socket | None = None

    def poll(self, address: tuple[str, int], read: list[int], write: list[int]) -> None:
        """As querySlaveDevices: what fails leaves `read` as it was, and nothing more is asked."""
        (results, result), (others, other), (inputs, count) = self.spans
        try:
            if self.socket is None:
                self.socket = socket.create_connection(address, PATIENCE_S)
            read[:result] = self.ask(struct.pack(">BHH", 4, results, result), result)
            read[result : result + other] = self.ask(struct.pack(">BHH", 3, others, other), other)
            if count:
                self.ask(struct.pack(f">BHHB{count}H", 16, inputs, count, 2 * count, *write[:count]), 0)
        except OSError:
            self.close()

    def ask(self, request: bytes, count: int) -> tuple[int, ...]:
        """The registers of an answer; an exception is a failure too."""
        assert self.socket is not None
        self.socket.sendall(struct.pack(">HHHB", 1, 0, len(request) + 1, 1) + request)
        answer = self.socket.recv(260)
        if len(answer) < 9 or answer[7] != request[0]:
            raise OSError(answer)
        return struct.unpack(f">{count}H", answer[9:]) if count else ()

    def close(self) -> None:
        """And connect anew in the next poll."""
        if self.socket is not None:
            self.socket.close()
        self.socket = None


class Plc:
    """OpenPLC with the program of the first of `models`, and all devices, polled in each cycle."""

    def __init__(self, models: dict[str, Model], station: Station) -> None:
        of = project("cell", models)
        self.address = station.server.address
        texts = portable_files(of, station.modbus)
        options = re.findall(r'^device(\d+)\.(\w+) = "(.*)"', texts["cell_mbconfig.cfg"], re.M)
        count = int(re.findall(r'Num_Devices = "(\d+)"', texts["cell_mbconfig.cfg"])[0])
        self.devices = [Device({k: v for n, k, v in options if int(n) == i}) for i in range(count)]
        text, name = texts["cell_master.st"], f"PRG_{next(iter(models))}_Master"
        places = re.findall(r"(\w+) AT %(\w\w)(\d+)", text[text.index(name) : text.index("END_PROGRAM")])
        self.places = [(place, area == "IW", int(at) - 100) for place, area, at in places]
        self.read, self.written = [0] * 400, [0] * 400
        self.program = Program(texts["cell.st"], re.sub(r" AT %\w+", "", text)).new(name)

    def cycle(self) -> None:
        """A poll, and the program."""
        read = write = 0
        for device in self.devices:
            (_, result), (_, other), (_, count) = device.spans
            came = self.read[read : read + result + other]
            device.poll(self.address, came, self.written[write:])
            self.read[read : read + result + other] = came
            read, write = read + result + other, write + count
        for place, is_input, at in self.places:
            if is_input:
                setattr(self.program, place, self.read[at])
        self.program()
        for place, is_input, at in self.places:
            if not is_input:
                self.written[at] = getattr(self.program, place)

    def close(self) -> None:
        """All connections."""
        for device in self.devices:
            device.close()


@pytest.fixture(scope="module")
def policy() -> Model:
    return rt_engine.load(POLICY)


@pytest.fixture
def stations():
    made: list[Station | Plc] = []
    yield made
    for one in reversed(made):
        one.close()


@pytest.mark.parametrize("order", ["ABCD", "CDAB", "BADC", "DCBA"])
def test_it_calls_the_model(policy, stations, order):
    """Two models, the engine's bits; never with the result of the zeros that the master wrote before the program ran."""
    models = {"policy": policy, "second": policy}
    stations.append(station := Station(models, order))
    stations.append(plc := Plc(models, station))
    plc.program.stIn.observation[:] = X.tolist()
    plc.cycle()
    assert (plc.program.bValid, plc.program.nStatus) == (False, STATUS["WRONG_SIZE"])
    plc.cycle()
    assert (plc.program.bValid, plc.program.nStatus) == (False, 0)
    plc.cycle()
    want = policy.run({"observation": X.reshape(1, 7)})[0].item()
    assert (plc.program.bValid, plc.program.nVersion, plc.program.stOut.force) == (True, 1, want)


def test_a_station_that_is_gone_is_not_believed(policy, stations):
    """Its master keeps the last values for ever: after as many cycles as it says the outputs are the safe ones, until it is back."""
    models = {"policy": policy}
    stations.append(station := Station(models))
    stations.append(plc := Plc(models, station))
    plc.program.stSafe.force = -7.5
    plc.cycle()
    assert plc.program.stOut.force == -7.5
    for _ in range(4):
        plc.cycle()
    assert plc.program.bValid and plc.program.nAge == 0 and plc.program.stOut.force != -7.5
    stations.remove(station)
    station.close()
    for age in range(1, TIMEOUT):
        plc.cycle()
        assert (plc.program.bValid, plc.program.nAge) == (True, age)
    plc.cycle()
    assert (plc.program.bValid, plc.program.stOut.force) == (False, -7.5)
    stations.append(back := Station(models))
    plc.address = back.server.address
    for _ in range(5):
        plc.cycle()
    assert plc.program.bValid and plc.program.nAge == 0


def calling(policy: Model, stations: list[Station | Plc]) -> tuple[Station, Plc]:
    """A station, and a PLC that has results of it."""
    models = {"policy": policy}
    stations.append(station := Station(models))
    stations.append(plc := Plc(models, station))
    for _ in range(5):
        plc.cycle()
    assert plc.program.bValid
    return station, plc


@pytest.mark.parametrize("silent", [0, 1])
def test_each_of_its_connections_is_watched(policy, stations, silent):
    """The one that is refused for ever keeps what it read last, though the other one goes on."""
    _, plc = calling(policy, stations)
    plc.devices[silent].close()
    plc.devices[silent].poll = lambda *_: None
    for _ in range(TIMEOUT):
        plc.cycle()
    assert not plc.program.bValid


def test_a_station_with_another_model_is_not_believed(policy, stations, tmp_path):
    """It is back under the same address, at once, with another interface: not one of its results is taken for the model's."""
    station, plc = calling(policy, stations)
    plc.close()
    stations.append(other := Station({"policy": square_root(tmp_path)}))
    at, was = other.modbus.registers["policy"], station.modbus.registers["policy"]
    plc.address = other.server.address
    plc.devices[1].spans = [(at.result, 6), plc.devices[1].spans[1], (at.inputs, 4)]  # all that it asks is there
    assert at.hash == was.hash
    for _ in range(10):
        plc.cycle()
        assert not plc.program.bValid
    assert plc.program.nStatus == STATUS["OTHER_INTERFACE"]


def test_its_configuration_names_the_servers_registers(policy):
    of = project("cell", {"policy": policy})
    at = replace(modbus(of), host="192.168.10.21")
    config = portable_files(of, at)["cell_mbconfig.cfg"]
    first, second = (dict(re.findall(rf'^device{i}\.(\w+) = "(.*)"', config, re.M)) for i in (0, 1))
    assert (first["address"], first["IP_Port"], first["name"], second["name"]) == (
        "192.168.10.21",
        "502",
        "policy_hash",
        "policy",
    )
    assert (first["Input_Registers_Start"], first["Holding_Registers_Size"]) == ("40000", "0")
    assert (second["Holding_Registers_Start"], second["Holding_Registers_Size"]) == ("10000", "14")


def test_models_beyond_a_message_of_openplcs_master_are_left_out(policy, tmp_path):
    of = project("cell", {"wide": wide(tmp_path)})
    assert "cell_master.st" not in portable_files(of, modbus(of))
