"""The ADS link against a strict stub of a PLC, and pyads' own test server for the happy path.

All of them listen on port 48898, each on a loopback address of its own.
"""

import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fieldbus.ads.address import AdsAddress
from fieldbus.ads.link import AdsLink
from fieldbus.errors import AddressError, ConfigurationError
from fieldbus.exchange.block import Phase
from fieldbus.image.image import Channel, ProcessImage
from fieldbus.modbus.address import ModbusAddress
from fieldbus.tags import Quality, Tag
from tests.fieldbus.ads.ads_plc import (
    CONFIG,
    READ,
    READ_WRITE,
    RUN,
    STATE,
    STOP,
    SUM_ADD_NOTE,
    SUM_READ,
    SUM_READ_WRITE,
    SUM_WRITE,
    AdsPlc,
    Symbol,
    own_loopback,
)
from tests.waiting import PATIENCE_S, wait_for

TIMEOUT_S = 0.4
"""Of tests that wait until it is over; others have plenty: a busy machine that answers late is no fault of theirs."""
PLENTY_S = 10.0
IEC = {
    "bool": "BOOL", "int8": "SINT", "uint8": "USINT", "int16": "INT", "uint16": "UINT", "int32": "DINT",
    "uint32": "UDINT", "int64": "LINT", "uint64": "ULINT", "float32": "REAL", "float64": "LREAL",
}  # fmt: skip
TAGS = [
    Tag("x", "float32", "in", address=AdsAddress("MAIN.fX")),
    Tag("a", "int16", "in", count=4, address=AdsAddress("MAIN.aA")),
    Tag("u", "float64", "out", safe=-1.0, address=AdsAddress("MAIN.fU")),
]
MODES = pytest.mark.parametrize("mode", ["read", "notify"])


def symbols() -> list[Symbol]:
    return [Symbol("MAIN.fX", "REAL"), Symbol("MAIN.aA", "INT", 4), Symbol("MAIN.fU", "LREAL")]


@pytest.fixture
def plc() -> Iterator[AdsPlc]:
    """A PLC that runs, with fX = 1.5 and aA = 1, 2, 3, 4."""
    with AdsPlc(symbols()) as controller:
        controller.set("MAIN.fX", 1.5)
        controller.set("MAIN.aA", 1, 2, 3, 4)
        yield controller


def net_id(plc: AdsPlc) -> str:
    return f"{plc.host}.1.1"


def link_of(plc: AdsPlc, mode: str, timeout_s: float = PLENTY_S) -> tuple[AdsLink, Channel, Channel]:
    image = ProcessImage()
    link = AdsLink("plc", TAGS, net_id(plc), cycle_s=0.005, timeout_s=timeout_s, mode=mode, backoff_s=(0.01, 0.05))  # type: ignore[arg-type]
    return link, link.subscribe(image, ["a", "x"], "task"), link.drive(image, ["u"], "task")


@MODES
def test_values_travel_both_ways(plc: AdsPlc, mode: str) -> None:
    """Inputs follow the PLC, outputs reach it, and `stop` leaves the safe value."""
    link, inputs, outputs = link_of(plc, mode)
    with link:
        wait_for(lambda: inputs.read().values.tolist() == [1.0, 2.0, 3.0, 4.0, 1.5])
        plc.set("MAIN.fX", 2.25)
        wait_for(lambda: inputs.read().values[4] == 2.25)
        wait_for(lambda: outputs.write([0.5]) is None and plc.get("MAIN.fU") == 0.5)
        assert link.stop() is True
    assert plc.get("MAIN.fU") == -1.0
    assert link.status().errors == 0


@MODES
def test_every_type_arrives(mode: str) -> None:
    """Each type of tag reads and writes its IEC type, at the ends of its range too."""
    ends = {"bool": [0, 1], "float32": [-2.5, 1e30], "float64": [-1e300, 2.5], "int64": [-(2**53), 2**53]}
    ends |= {"uint64": [0, 2**53], "int8": [-128, 127], "int16": [-32768, 32767], "int32": [-(2**31), 2**31 - 1]}
    ends |= {"uint8": [0, 255], "uint16": [0, 65535], "uint32": [0, 2**32 - 1]}
    tags = [Tag(f"in-{n}", n, "in", count=2, address=AdsAddress(f"GVL.in_{n}")) for n in IEC]
    tags += [Tag(f"out-{n}", n, "out", count=2, address=AdsAddress(f"GVL.out_{n}")) for n in IEC]
    image = ProcessImage()
    with AdsPlc([Symbol(f"GVL.{d}_{n}", t, 2) for d in ("in", "out") for n, t in IEC.items()]) as plc:
        for name, values in ends.items():
            plc.set(f"GVL.in_{name}", *values)
        link = AdsLink("plc", tags, net_id(plc), cycle_s=0.005, timeout_s=5.0, mode=mode)  # type: ignore[arg-type]
        inputs = link.subscribe(image, [f"in-{n}" for n in ends], "t")
        outputs = link.drive(image, [f"out-{n}" for n in ends], "t")
        flat = [
            float(v) if n != "float32" else struct.unpack("f", struct.pack("f", v))[0] for n in ends for v in ends[n]
        ]
        with link:
            wait_for(lambda: inputs.read().values.tolist() == flat)
            wait_for(
                lambda: (
                    outputs.write(flat) is None and all(plc.get(f"GVL.out_{n}") == plc.get(f"GVL.in_{n}") for n in IEC)
                )
            )


def _fault(name: str) -> Callable[[AdsPlc], None]:
    return lambda plc: setattr(plc.faults, name, True)


@MODES
@pytest.mark.parametrize(
    ("fault", "mend", "error"),
    [
        (_fault("silent"), None, ""),
        (_fault("half_frame"), None, ""),
        (_fault("garbage"), None, ""),
        (
            lambda plc: setattr(plc.faults, "error", 0x706),
            None,
            "sum write: ADS error 0x706, invalid param",
        ),
        (AdsPlc.cut, None, ""),
        (AdsPlc.deaf, AdsPlc.listen, ""),
        (lambda plc: plc.online_change(symbols()[::-1]), None, "symbols changed"),
    ],
    ids=["silent", "half_frame", "garbage", "error", "cut", "off", "online_change"],
)
def test_every_fault_is_bad_within_the_timeout_and_recovers(plc: AdsPlc, mode: str, fault, mend, error: str) -> None:  # type: ignore[no-untyped-def]
    """BAD no later than the timeout after the last good sample, the reason told, then GOOD and the outputs go on."""
    link, inputs, outputs = link_of(plc, mode, TIMEOUT_S)

    def is_in_time() -> bool:
        assert link.wait_up(PATIENCE_S)
        fault(plc)
        begun_s = time.monotonic()
        took_s = wait_for(lambda: inputs.read().quality is Quality.BAD)
        age_s = begun_s + took_s - inputs.read().timestamp_ns / 1e9
        wait_for(lambda: link.status().last_error and error in link.status().last_error)
        plc.faults = type(plc.faults)()
        if mend:
            mend(plc)
        plc.set("MAIN.fX", 7.5)
        wait_for(lambda: inputs.read().quality is Quality.GOOD and inputs.read().values[4] == 7.5)
        return age_s < 1.9 * TIMEOUT_S  # a busy machine; twice is a fault

    with link:
        assert any(is_in_time() for _ in range(5)), "a machine that stands still is late once, a fault each time"
        wait_for(lambda: outputs.write([0.25]) is None and plc.get("MAIN.fU") == 0.25)


@MODES
def test_after_a_restart_values_come_from_where_the_symbols_are_now(plc: AdsPlc, mode: str) -> None:
    """A new program with other offsets, the connection held: nothing is read from, or written to, an old place."""
    tags = [
        Tag("x", "float32", "in", address=AdsAddress("MAIN.fX")),
        Tag("a", "int16", "in", address=AdsAddress("MAIN.n")),
    ]
    plc.load([Symbol("MAIN.fX", "REAL"), Symbol("MAIN.n", "INT")])
    image = ProcessImage()
    link = AdsLink("plc", tags, net_id(plc), cycle_s=0.005, timeout_s=PLENTY_S, mode=mode, backoff_s=(0.01, 0.05))  # type: ignore[arg-type]
    inputs = link.subscribe(image, ["x", "a"], "t")
    with link:
        assert link.wait_up(PATIENCE_S)
        plc.online_change([Symbol("MAIN.other", "LREAL"), Symbol("MAIN.n", "INT"), Symbol("MAIN.fX", "REAL")])
        plc.set("MAIN.other", 1e9)
        plc.set("MAIN.n", 42)
        plc.set("MAIN.fX", 3.5)
        wait_for(lambda: inputs.read().values.tolist() == [3.5, 42.0])
        assert link.status().reconnects == 1


def test_a_changed_version_is_seen_where_there_are_no_handles(plc: AdsPlc) -> None:
    """A tag by index group and offset has no handle to go stale: the symbol version tells."""
    offset = plc.symbols["MAIN.FX"].offset
    tags = [Tag("x", "float32", "in", address=AdsAddress(group=0x4040, offset=offset))]
    image = ProcessImage()
    link = AdsLink("plc", tags, net_id(plc), cycle_s=0.005, timeout_s=PLENTY_S)
    inputs = link.subscribe(image, ["x"], "t")
    with link:
        wait_for(lambda: inputs.read().values[0] == 1.5)
        plc.online_change(symbols())
        wait_for(lambda: "the controller's symbols changed" in link.status().last_error)


def test_one_request_per_direction_and_cycle(plc: AdsPlc) -> None:
    """In read mode a cycle is one sum write and one sum read, whatever the number of tags."""
    link, *_ = link_of(plc, "read")
    with link:
        assert link.wait_up(PATIENCE_S)
        cycles, requests = link.status().reads, plc.requests.get(READ_WRITE, 0)
        wait_for(lambda: link.status().reads > cycles + 20)
        assert plc.requests[READ_WRITE] - requests <= 2 * (link.status().reads - cycles + 1)


def test_notifications_cost_no_reads_of_values(plc: AdsPlc) -> None:
    """In notify mode no value is asked for after the start; they are pushed when they change."""
    link, inputs, _ = link_of(plc, "notify")
    with link:
        assert link.wait_up(PATIENCE_S)
        handles_read = []
        read = plc.read
        plc.read = lambda g, o, s: handles_read.append(g) or read(g, o, s)  # type: ignore[method-assign,func-returns-value]
        plc.set("MAIN.aA", 9, 8, 7, 6)
        wait_for(lambda: inputs.read().values[:4].tolist() == [9.0, 8.0, 7.0, 6.0])
        assert plc.requests.get(READ, 0) == 0
        assert link.status().errors == 0


def test_a_lost_first_notification_costs_nothing(plc: AdsPlc) -> None:
    """The values of the start are read, so that one that never changes is known; later changes arrive."""
    plc.faults.no_first_note = True
    link, inputs, _ = link_of(plc, "notify")
    with link:
        wait_for(lambda: inputs.read().values.tolist() == [1.0, 2.0, 3.0, 4.0, 1.5])
        plc.set("MAIN.fX", 2.5)
        wait_for(lambda: inputs.read().values.tolist() == [1.0, 2.0, 3.0, 4.0, 2.5])
        assert link.status().errors == 0


@pytest.mark.parametrize(
    ("address", "type_name", "error"),
    [
        ("MAIN.nothing", "float32", "MAIN.nothing: ADS error 0x710, symbol not found"),
        ("MAIN.fU", "float32", "symbol 'MAIN.fU' is LREAL of 8 bytes, but its tag needs 4: write type = \"float64\""),
        ("MAIN.fU", "int64", "symbol 'MAIN.fU' is LREAL, but its tag is int64: write type = \"float64\""),
    ],
)
def test_a_symbol_that_does_not_fit_is_named(plc: AdsPlc, address: str, type_name: str, error: str) -> None:
    """Missing, or of another size: down, with the symbol in the reason."""
    link = AdsLink("plc", [Tag("x", type_name, "in", address=AdsAddress(address))], net_id(plc))
    with link:
        wait_for(lambda: link.status().state == "down")
        assert error in link.status().last_error


def test_a_read_only_output_is_a_refusal(plc: AdsPlc) -> None:
    """The error names the symbol; inputs are as good as their own requests are."""
    plc.symbols["MAIN.FU"].read_only = True
    link, inputs, _ = link_of(plc, "read")
    with link:
        wait_for(lambda: link.status().state == "degraded")
        wait_for(lambda: "MAIN.fU: ADS error 0x704, reading/writing not permitted" in link.status().last_error)
        wait_for(lambda: inputs.read().quality is Quality.GOOD)
        assert link.stop() is False


def test_a_port_where_no_plc_runs(plc: AdsPlc) -> None:
    """ADS error 6: down, and it says so."""
    link = AdsLink("plc", TAGS, net_id(plc), ams_port=852)
    with link:
        wait_for(lambda: link.status().state == "down")
        assert "ADS error 0x6, Target port not found" in link.status().last_error


@MODES
def test_several_links_go_to_one_controller(plc: AdsPlc, mode: str) -> None:
    """A second link to the same NetId has a connection of its own, and its own values."""
    first, inputs, _ = link_of(plc, mode)
    second, others, _ = link_of(plc, mode)
    with first, second:
        wait_for(lambda: inputs.read().values[4] == others.read().values[4] == 1.5)
        plc.set("MAIN.fX", 4.5)
        wait_for(lambda: inputs.read().values[4] == others.read().values[4] == 4.5)
    assert first.status().reconnects == second.status().reconnects == 0


@MODES
def test_in_the_cycle_of_a_task(plc: AdsPlc, mode: str) -> None:
    """`exchange="in-cycle"`: whoever owns the link reads at its tick, and writes at once; nobody else does."""
    image = ProcessImage()
    link = AdsLink("plc", TAGS, net_id(plc), cycle_s=0.005, timeout_s=5.0, mode=mode, exchange="in-cycle")  # type: ignore[arg-type]
    inputs, outputs = link.subscribe(image, ["a", "x"], "task"), link.drive(image, ["u"], "task")

    def cycle() -> bool:
        limit_ns = time.monotonic_ns() + 10**9
        link.exchange.phase(Phase.READS, limit_ns)
        outputs.write([inputs.read().values[4] + 1.0])
        link.exchange.phase(Phase.WRITES, limit_ns)
        return inputs.read().quality is Quality.GOOD and plc.get("MAIN.fU") == inputs.read().values[4] + 1.0

    with link:
        wait_for(cycle)
        assert inputs.read().values.tolist() == [1.0, 2.0, 3.0, 4.0, 1.5]
        plc.set("MAIN.fX", 7.25)
        wait_for(lambda: cycle() and plc.get("MAIN.fU") == 8.25)
        link.exchange.take()
    assert plc.get("MAIN.fU") == -1.0


@MODES
def test_a_life_sign_that_stands_still_makes_inputs_bad(plc: AdsPlc, mode: str) -> None:
    """Also where values come unasked: GOOD while it changes, BAD when it does not."""
    image = ProcessImage()
    link = AdsLink("plc", TAGS, net_id(plc), cycle_s=0.005, timeout_s=0.5, mode=mode)  # type: ignore[arg-type]
    link.watch_life("x", 0.3)
    inputs = link.subscribe(image, ["a"], "task")
    beat = iter(range(10**6))

    def beats() -> bool:
        plc.set("MAIN.fX", float(next(beat) % 1000))
        return inputs.read().quality is Quality.GOOD

    with link:
        wait_for(beats)
        wait_for(lambda: inputs.read().quality is Quality.BAD)
        wait_for(lambda: "life sign x has not changed" in link.status().last_error)
        wait_for(beats)


# --- a program that does not run --------------------------------------------------------------------------------------


@MODES
@pytest.mark.parametrize("state_is_no_value", [False, True], ids=["state in the sum", "state by command"])
@pytest.mark.parametrize(("state", "word"), [(STOP, "STOP"), (CONFIG, "CONFIG"), (77, "state 77")])
def test_a_plc_that_does_not_run_makes_inputs_bad(
    plc: AdsPlc, mode: str, state_is_no_value: bool, state: int, word: str
) -> None:
    """Its symbols still answer: BAD, with the state in the reason; GOOD on the same connection when it runs again."""
    plc.faults.state_is_no_value = state_is_no_value
    link, inputs, _ = link_of(plc, mode)
    with link:
        wait_for(lambda: inputs.read().quality is Quality.GOOD)
        plc.state = state
        wait_for(lambda: inputs.read().quality is Quality.BAD)
        wait_for(lambda: f"the PLC is in {word}, not in RUN" in link.status().last_error)
        reads = link.status().reads
        plc.set("MAIN.fX", 9.5)
        asked = len(plc.asked)
        wait_for(lambda: len(plc.asked) > asked + 20)
        assert link.status().reads == reads
        plc.state = RUN
        wait_for(lambda: inputs.read().quality is Quality.GOOD and inputs.read().values[4] == 9.5)
        assert link.status().reconnects == 0


@pytest.mark.parametrize("state_is_no_value", [False, True])
def test_safe_values_are_confirmed_by_a_plc_in_run_alone(plc: AdsPlc, state_is_no_value: bool) -> None:
    """A stopped PLC takes them, and acts on nothing: `stop` says that nobody confirmed them."""
    plc.faults.state_is_no_value = state_is_no_value
    link, *_ = link_of(plc, "read")
    link.start()
    assert link.wait_up(PATIENCE_S)
    plc.state = STOP
    assert link.stop() is False
    assert plc.get("MAIN.fU") == -1.0
    assert "the PLC is in STOP" in link.status().last_error


def test_a_state_that_says_nothing_is_not_watched(plc: AdsPlc) -> None:
    """`is_state_watched=False`: for devices that are no PLC."""
    plc.state = 0
    link = AdsLink("plc", TAGS, net_id(plc), cycle_s=0.005, timeout_s=PLENTY_S, is_state_watched=False)
    with link:
        assert link.wait_up(PATIENCE_S)
        assert STATE not in plc.requests


# --- a device without sum commands ------------------------------------------------------------------------------------


@MODES
@pytest.mark.parametrize(
    ("no_sums", "words"),
    [
        ((SUM_WRITE,), "the device has no sum write: values are written one by one"),
        ((SUM_READ_WRITE, SUM_ADD_NOTE), ""),
        (
            (SUM_READ, SUM_WRITE, SUM_READ_WRITE, SUM_ADD_NOTE),
            "the device has no sum commands: values are read one by one",
        ),
    ],
    ids=["no sum write", "no sum read-write", "none"],
)
def test_single_requests_where_there_are_no_sums(
    plc: AdsPlc, mode: str, no_sums: tuple[int, ...], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Values travel both ways, and what the device has not is said: in the status, and once in the log."""
    plc.faults.no_sums = no_sums
    link, inputs, outputs = link_of(plc, mode)
    with link:
        wait_for(lambda: inputs.read().values.tolist() == [1.0, 2.0, 3.0, 4.0, 1.5])
        plc.set("MAIN.fX", 2.25)
        wait_for(lambda: inputs.read().values[4] == 2.25)
        wait_for(lambda: outputs.write([0.5]) is None and plc.get("MAIN.fU") == 0.5)
        assert link.wait_up(PATIENCE_S)  # values come before
        plc.cut()
        wait_for(lambda: link.status().reconnects == 1 and link.status().state == "up")
        assert words in link.status().note
        assert link.stop() is True
    assert plc.get("MAIN.fU") == -1.0
    assert not words or [words in line for line in caplog.messages].count(True) == 1


def test_a_single_output_that_is_refused_holds_no_other_back(plc: AdsPlc) -> None:
    """One by one, too: the others are written."""
    plc.faults.no_sums = (SUM_WRITE,)
    plc.load([Symbol("MAIN.a", "INT", read_only=True), Symbol("MAIN.b", "INT")])
    tags = [Tag(n, "int16", "out", safe=7.0, address=AdsAddress(f"MAIN.{n}")) for n in "ab"]
    link = AdsLink("plc", tags, net_id(plc), cycle_s=0.005, timeout_s=PLENTY_S)
    with link:
        wait_for(lambda: plc.get("MAIN.b") == 7)
        wait_for(lambda: "MAIN.a: ADS error 0x704" in link.status().last_error)


# --- packets that nobody asked for ------------------------------------------------------------------------------------


@MODES
def test_answers_to_other_questions_are_no_values(plc: AdsPlc, mode: str) -> None:
    """Another invoke id, another computer's packet: dropped, and the right answer behind them is taken."""
    link, inputs, _ = link_of(plc, mode)
    plc.faults.foreign_first = True
    with link:
        wait_for(lambda: inputs.read().quality is Quality.GOOD)
        reads = link.status().reads
        wait_for(lambda: link.status().reads > reads + 20)
        assert inputs.read().values.tolist() == [1.0, 2.0, 3.0, 4.0, 1.5]
        assert link.status().errors == 0


def test_a_notification_that_contradicts_itself_is_an_error_and_no_end(plc: AdsPlc) -> None:
    """AdsLib ends the process with an assertion here; the link says what came, connects anew, and is right again."""
    link, inputs, _ = link_of(plc, "notify")
    with link:
        wait_for(lambda: inputs.read().values[4] == 1.5)
        plc.faults.bad_note = True
        plc.set("MAIN.fX", 2.5)
        wait_for(lambda: "a notification that says" in link.status().last_error)
        plc.faults.bad_note = False
        wait_for(lambda: inputs.read().quality is Quality.GOOD and inputs.read().values[4] == 2.5)


def test_handles_are_given_back_at_the_end(plc: AdsPlc, monkeypatch: pytest.MonkeyPatch) -> None:
    """A controller keeps handles of clients that have gone: an orderly end leaves none, and no notification."""
    monkeypatch.setattr("fieldbus.ads.link._GOODBYE_S", PATIENCE_S)
    link, *_ = link_of(plc, "notify")
    with link:
        assert link.wait_up(PATIENCE_S)
        assert len(plc.handles) == 3
        assert plc.notes() == 2
    assert not plc.handles
    assert plc.notes() == 0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"ams_net_id": "1.2.3.4.5"}, ConfigurationError, "'1.2.3.4.5' is no AMS NetId: six numbers"),
        ({"ams_net_id": "1.2.3.4.5.256"}, ConfigurationError, "is no AMS NetId"),
        ({"mode": "poll"}, ConfigurationError, "mode 'poll' must be 'read' or 'notify'"),
        ({"tags": [Tag("x", "bool", "in", address=ModbusAddress("coil", 0))]}, AddressError, "needs an AdsAddress"),
    ],
)
def test_an_impossible_link_is_refused(arguments: dict[str, object], error: type[Exception], message: str) -> None:
    """Wrong NetId, mode or kind of address: an error before anything runs."""
    with pytest.raises(error, match=message):
        AdsLink(**{"name": "plc", "tags": TAGS, "ams_net_id": "127.0.0.2.1.1", **arguments})  # type: ignore[arg-type]


def test_pyads_own_server() -> None:
    """The happy path against a server that is not ours: symbol information, handles, sum read, sum write.

    Its sum commands know neither handles nor the symbol version: they get a place among its variables. What it does not
    know ends its thread; here it is answered as a device does that has no such group.
    """
    from pyads import constants
    from pyads.testserver import AdsTestServer, AdvancedHandler, PLCVariable
    from pyads.testserver.handler import AmsResponseData

    class Handler(AdvancedHandler):
        def handle_request(self, request: Any) -> Any:
            try:
                return super().handle_request(request)
            except KeyError:
                return AmsResponseData(struct.pack("<H", 5), bytes(4), struct.pack("<II", 0x702, 0))

    handler, host = Handler(), own_loopback()
    x = PLCVariable("MAIN.fX", struct.pack("<f", 1.5), constants.ADST_REAL32, "REAL", 0xF005, 1001)
    u = PLCVariable("MAIN.fU", bytes(8), constants.ADST_REAL64, "LREAL", 0xF005, 1002)
    x.handle, u.handle = 1001, 1002
    for variable in (x, u, PLCVariable("version", b"\1", constants.ADST_UINT8, "USINT", 0xF008, 0)):
        handler.add_variable(variable)
    image = ProcessImage()
    link = AdsLink("plc", [TAGS[0], TAGS[2]], f"{host}.1.1", cycle_s=0.01, timeout_s=1.0)
    inputs, outputs = link.subscribe(image, ["x"], "t"), link.drive(image, ["u"], "t")
    with AdsTestServer(handler, host, logging=False), link:
        wait_for(lambda: inputs.read().values[0] == 1.5)
        wait_for(lambda: outputs.write([0.5]) is None and u.value == struct.pack("<d", 0.5))
