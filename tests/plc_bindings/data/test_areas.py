"""What a station shows: every symbol of every area, against the objects that it shows."""

import struct

import numpy as np
import pytest

import rt_engine
from fieldbus.image.image import ProcessImage
from fieldbus.inprocess.link import InProcessLink
from fieldbus.plc.link import PlcLink
from fieldbus.tags import Tag
from plc_bindings.data import areas
from plc_bindings.data.areas import Shown, database
from plc_bindings.data.database import Database, NotAllowedError, Session, Symbol
from plc_bindings.data.model_area import ModelFile
from plc_bindings.data.models import Models
from plc_bindings.data.types import String, leaves
from plc_bindings.errors import NameClashError
from rt_engine import ModelSlot
from scheduler import Input, Output, Scheduler, Task
from tests import ROOT
from tests.waiting import wait_for

POLICY = ROOT / "station" / "demo" / "data" / "policy-v1.onnx"


class Station:
    """Seven inputs from a PLC through the demo's policy to one output for it; and a tank beside it."""

    def __init__(self) -> None:
        self.image = ProcessImage()
        ins = [Tag(f"in-{i}", "float32", "in") for i in range(6)] + [Tag("count", "int16", "in", scale=0.5)]
        self.plc = PlcLink("plc", [*ins, Tag("force", "float32", "out", unit="N", safe=7)], timeout_s=0.5)
        tank = [Tag("level", "int16", "in", scale=0.1, unit="m"), Tag("pump", "bool", "out")]
        self.tank = InProcessLink("tank", tank, lambda out: {"level": 1.5}, cycle_s=0.001, timeout_s=0.5)
        self.slot = ModelSlot(rt_engine.load(POLICY), "policy")
        x, y = self.slot.model.inputs[0].name, self.slot.model.outputs[0].name
        measured = self.plc.subscribe(self.image, [tag.name for tag in ins], "axis")
        driven = self.plc.drive(self.image, ["force"], "axis")
        task = Task(
            name="axis",
            model=self.slot,
            period_s=0.001,
            inputs=tuple(Input(tensor=x, index=i, channel=measured, cell=i) for i in range(7)),
            outputs=(Output(tensor=y, channel=driven),),
        )
        self.scheduler = Scheduler([task])
        self.models = Models({"policy": self.slot})
        self.file = ModelFile("policy-v1.onnx", "ab" * 32)

    def database(self, **more):
        links = {link.name: link for link in (self.plc, self.tank)}
        order = [tag.name for link in links.values() for tag in link.tags]
        return database(
            Shown(
                "cell",
                "1.2.3",
                links,
                self.models,
                {"policy": self.file},
                self.scheduler,
                self.image,
                more.get("tags", order),
            )
        )


@pytest.fixture
def station():
    station = Station()
    yield station
    station.scheduler.close()


def value(session, name):
    """The value of a symbol, read as a client would."""
    session.begin()
    symbol = session.database.find(name)
    raw = session.read(symbol.area, symbol.offset, symbol.size)
    if isinstance(symbol.type, String):
        return raw.split(b"\0")[0].decode()
    return struct.unpack(f"<{symbol.type.char}", raw)[0]


def put(session, name, number):
    symbol = session.database.find(name)
    session.write(symbol.area, symbol.offset, struct.pack(f"<{symbol.type.char}", number))


def test_every_symbol_can_be_read_and_every_leaf_lies_within(station):
    data = station.database()
    session = Session(data, data.writable([]))
    for symbol in data.symbols:
        session.begin()
        assert len(session.read(symbol.area, symbol.offset, symbol.size)) == symbol.size
        ends = [leaf.offset + leaf.type.size for leaf in leaves(symbol.type)]
        assert ends[-1] == symbol.size
    names = {symbol.name for symbol in data.symbols}
    assert {"Server", "Models.policy", "Tasks.axis", "Links.plc", "Links.tank", "Tags.in_0", "Tags.force"} <= names
    assert {struct_.name for struct_ in data.types} == {"ST_policy_In", "ST_policy_Out"}


def test_what_is_written_reaches_the_task_and_its_outputs_come_back(station, monkeypatch):
    monkeypatch.setattr(areas, "LATENCY_EVERY_S", 0.0)
    data = station.database()
    session = Session(data, data.writable(["Tags.*"]))
    station.plc.start()
    x = np.linspace(-0.1, 0.1, 7, dtype=np.float32)
    with station.scheduler:
        session.begin()
        for i in range(6):
            put(session, f"Tags.in_{i}", float(x[i]))
        put(session, "Tags.count", 5)
        session.commit()
        feeds = np.append(x[:6], np.float32(2.5)).reshape(station.slot.model.inputs[0].shape)
        wanted = station.slot.model.run({station.slot.model.inputs[0].name: feeds})[0].item()
        wait_for(lambda: value(session, "Tasks.axis.CycleCount") > 20 and value(session, "Tags.force") != 7.0)
        assert value(session, "Tags.force") == pytest.approx(wanted, rel=1e-6)
        assert value(session, "Tags.count") == 5
        assert value(session, "Links.plc.State") == 2
        assert value(session, "Tasks.axis.CycleTime") == 10_000
        assert value(session, "Tasks.axis.Execution.P99") > 0.0
        assert value(session, "Tasks.axis.State") == 1
    station.plc.stop(safe=False)


def test_a_request_sees_one_moment_and_publishes_at_once(station):
    data = station.database()
    session = Session(data, data.writable(["Tags.in_*"]))
    channel = station.plc.subscribe(station.image, ["in-0", "in-1"], "probe")
    station.plc.start()
    session.begin()
    put(session, "Tags.in_0", 1.0)
    assert channel.read().counter == 0
    put(session, "Tags.in_1", 2.0)
    session.commit()
    assert (channel.read().counter, channel.read().values.tolist()) == (1, [1.0, 2.0])
    first = data.find("Tags.in_0")
    session.begin()
    before = session.read(first.area, first.offset, 4)
    station.plc.write(np.full(7, 9.0), [])
    assert session.read(first.area, first.offset, 4) == before
    session.begin()
    assert session.read(first.area, first.offset, 4) == struct.pack("<f", 9.0)
    station.plc.stop(safe=False)


def test_only_what_is_named_can_be_written(station):
    refused = []
    data = station.database()
    session = Session(data, data.writable(["tags.in_0", "Tags.level", "Models.*"]), refused.append)
    session.begin()
    put(session, "Tags.in_0", 1.0)
    for name in ("Tags.in_1", "Tags.force", "Tags.level", "Models.policy.Version", "Tasks.axis.Reset"):
        with pytest.raises(NotAllowedError):
            put(session, name, 1)
    assert len(refused) == 5
    symbol = data.find("Tags.in_0")
    with pytest.raises(NotAllowedError):
        session.write(symbol.area, symbol.offset, bytes(8))  # reaches into its neighbour
    with pytest.raises(IndexError):
        session.write(symbol.area, 10_000, b"x")
    with pytest.raises(IndexError):
        session.read(symbol.area, data.areas[symbol.area].size, 1)


def test_a_write_of_no_bytes_is_none(station):
    """Not even one who may write nothing can keep the inputs alive with it."""
    data = station.database()
    session = Session(data, data.writable([]))
    station.plc.start()
    symbol = data.find("Tags.in_0")
    session.begin()
    session.write(symbol.area, symbol.offset, b"")
    session.commit()
    assert station.plc.status().reads == 0
    with pytest.raises(IndexError):
        session.write(symbol.area, 10_000, b"")
    station.plc.stop(safe=False)


def test_an_array_is_written_when_all_its_elements_are():
    """A byte of an element, or one of four, leaves the group BAD."""
    link = PlcLink("plc", [Tag("a", "int16", "in"), Tag("row", "float32", "in", count=4)], timeout_s=5)
    area = areas.PlcInputs("plc.In", link)
    data = Database([area], [Symbol("Tags", area.type, 0, 0)])
    session = Session(data, data.writable(["*"]))
    assert data.find("Tags.row[1]") is not None
    assert data.find("Tags.row[\u0661]") is None  # a digit too, in Arabic
    link.start()
    for first, end, state in ((0, 6, "connecting"), (6, 17, "connecting"), (17, 18, "connecting"), (14, 18, "up")):
        session.begin()
        session.write(0, first, bytes(end - first))
        session.commit()
        assert link.status().state == state
    link.stop(safe=False)


def test_counters_are_reset_by_writing_true(station):
    data = station.database()
    session = Session(data, data.writable(["Tasks.*", "Links.*"]))
    session.begin()
    for name in ("Tasks.axis.CycleCount", "Tasks.axis.WakeUp.P99", "Links.plc.Errors"):
        with pytest.raises(NotAllowedError):
            put(session, name, 0)
    station.plc.start()
    station.plc.outputs()
    session.begin()
    put(session, "Links.plc.Reset", True)
    session.commit()
    assert value(session, "Links.plc.Writes") == 0
    station.scheduler._runners["axis"].memory.stats["overruns"] = 3
    assert value(session, "Tasks.axis.ExceedCounter") == 3
    session.begin()
    put(session, "Tasks.axis.Reset", False)
    session.commit()
    assert value(session, "Tasks.axis.ExceedCounter") == 3
    session.begin()
    put(session, "Tasks.axis.Reset", True)
    session.commit()
    assert value(session, "Tasks.axis.ExceedCounter") == 0


def test_a_tasks_state_is_reset_by_writing_1(station):
    """Counted, and it reads as 0 again; writing 0, or resetting the counters, resets no state."""
    data = station.database()
    session = Session(data, data.writable(["Tasks.axis.Reset*"]))
    asked = []
    station.scheduler.reset_state = asked.append
    for name, number in (("Tasks.axis.ResetState", 0), ("Tasks.axis.Reset", True)):
        session.begin()
        put(session, name, number)
        session.commit()
    assert asked == []
    session.begin()
    put(session, "Tasks.axis.ResetState", 256)
    session.commit()
    assert asked == ["axis"]
    assert value(session, "Tasks.axis.ResetState") == 0
    station.scheduler._runners["axis"].memory.stats["state_resets"] = 3
    assert value(session, "Tasks.axis.StateResets") == 3


def test_tags_of_other_devices_are_shown_in_engineering_units(station):
    data = station.database()
    session = Session(data, data.writable(["*"]))
    with station.tank:
        station.tank.wait_up(2)
        wait_for(lambda: value(session, "Tags.level") != 0.0)
        assert (data.find("Tags.level").type.name, value(session, "Tags.level")) == ("LREAL", 1.5)
        assert value(session, "Tags.pump") is False
        with pytest.raises(NotAllowedError):
            put(session, "Tags.pump", True)


def test_a_model_tells_what_runs(station):
    data = station.database()
    session = Session(data, data.writable([]))
    assert value(session, "Models.policy.Hash") == "ab" * 32
    assert value(session, "Models.policy.Inputs") == str(station.slot.model.inputs[0])
    assert value(session, "Models.policy.Version") == 1
    station.slot.update(rt_engine.load(POLICY))
    assert (value(session, "Models.policy.Version"), value(session, "Models.policy.Updates")) == (2, 1)
    assert value(session, "models.POLICY.inputbytes") == 28


def test_elements_are_found_by_path_in_any_case_and_nothing_else_is(station):
    data = station.database()
    assert data.find("tasks.axis.wakeup.p99_9").name.lower() == "tasks.axis.wakeup.p99_9"
    for name in ("Tasks.axis.Nothing", "Tasks.axis.", "Tasks.axis[0]", "Tasks", "", ".", "Tags.in_0.x", "Tags.in_0[1]"):
        assert data.find(name) is None


def test_names_that_a_plc_takes_for_the_same_are_refused():
    station = Station()
    tags = [Tag("a-b", "float32", "in"), Tag("a_B", "float32", "in")]
    station.tank = InProcessLink("tank", tags, lambda out: {}, cycle_s=0.001, timeout_s=0.5)
    with pytest.raises(NameClashError, match="a_B"):
        station.database()
