"""Repeated calls are answered in native code, and nobody can tell but by the clock."""

import gc
import socket
import struct
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import rt_engine
from benchmarks.models import mlp
from fieldbus.tags import Order
from plc_bindings.ads.server import AdsOptions, AdsServer
from plc_bindings.calls import repeated
from plc_bindings.calls.predict import Predictor
from plc_bindings.calls.replay import NATIVE, Replay
from plc_bindings.data.models import Models
from plc_bindings.modbus.blocks import PredictBlock
from plc_bindings.modbus.options import ModbusOptions, Tcp
from plc_bindings.modbus.server import ModbusServer
from plc_bindings.security.access import Access, Limits
from plc_bindings.status import CallStatus
from rt_engine import Context, ModelSlot
from rt_native.library import reachable_sources
from tests.peers import plant
from tests.rt_native.symbols import undefined
from tests.test_proofs import ALLOWED
from tests.waiting import PATIENCE_S, wait_for

Found = TypeVar("Found")
WIDTHS = (16, 64, 64, 4)
NAN_OUTPUT = 106
BAD_SIZE, BUSY = 0x705, 0x708


def request(inputs: np.ndarray, invoke: int, model: int = 1, size: int = 24) -> bytes:
    data = inputs.astype(np.float32).tobytes()
    body = struct.pack("<4I", 0x5254_0001, model, size, len(data)) + data
    head = struct.pack("<6sH6sHHHIII", bytes((127, 0, 0, 1, 1, 1)), 851, bytes(6), 33_000, 9, 4, len(body), 0, invoke)
    return struct.pack("<HI", 0, len(head) + len(body)) + head + body


class Caller:
    """A client with a socket."""

    def __init__(self, server: AdsServer, buffer: int = 0) -> None:
        self.server, self.socket = server, socket.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(server.address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._invoke = 0

    def packet(self) -> bytes:
        head = self._bytes(6)
        return head + self._bytes(struct.unpack_from("<I", head, 2)[0])

    def _bytes(self, count: int) -> bytes:
        got = b""
        while len(got) < count:
            part = self.socket.recv(count - len(got))
            assert part, "the server has closed the connection"
            got += part
        return got

    def call(self, inputs: np.ndarray, model: int = 1, size: int = 24) -> tuple[int, int, bytes]:
        """(status, version, outputs), or the ADS error as status."""
        self._invoke += 1
        self.socket.sendall(request(inputs, self._invoke, model, size))
        return self.answer(self._invoke)

    def answer(self, invoke: int) -> tuple[int, int, bytes]:
        got = self.packet()
        assert struct.unpack_from("<I", got, 34)[0] == invoke
        error, length = struct.unpack_from("<II", got, 38)
        assert len(got) == 46 + length
        return (error, 0, b"") if error else (*struct.unpack_from("<II", got, 46), got[54:])


@contextmanager
def serving(model: rt_engine.Model, rate: int = 100_000) -> Iterator[tuple[Caller, ModelSlot]]:
    slot = ModelSlot(model)
    access = Access(limits=Limits(requests_per_second=rate))
    server = AdsServer(plant.database(), Models({"policy": slot}), AdsOptions(port=0), access)
    with plant.serving(server):
        yield Caller(server), slot


@pytest.fixture
def replays(monkeypatch: pytest.MonkeyPatch) -> list[Replay]:
    """All that the server makes."""
    made: list[Replay] = []

    class Noted(Replay):
        def __init__(self, *args: object) -> None:
            super().__init__(*args)  # type: ignore[arg-type]
            made.append(self)

    monkeypatch.setattr(repeated, "Replay", Noted)
    return made


def until_replayed(client: "Caller | ModbusCaller", replay: Callable[[], Replay], *call: object) -> None:
    """Call until a call was answered without Python; how soon depends on how long the first ones take."""
    for _ in range(50):
        client.call(*call)  # type: ignore[arg-type]
        if replay().answered:
            return
    pytest.fail("nothing was replayed")


def without_python(replay: Replay, count: int, work: Callable[[], Found]) -> Found:
    """What `work` gives once all its calls, so many, were answered without Python; one that is interrupted makes the next need it."""
    for _ in range(50):
        before, found = replay.answered, work()
        if replay.answered == before + count:
            return found
    pytest.fail("Python was needed every time")


def then_replayed(replay: Replay, calls: Callable[[], None]) -> None:
    """After what came in between, one of these calls does without Python soon; each is right."""
    before = replay.answered
    for _ in range(25):
        calls()
        if replay.answered > before:
            return
    pytest.fail("nothing was replayed any more")


def mostly_replayed(replay: Callable[[], Replay], inputs: np.ndarray, calls: Callable[[np.ndarray], None]) -> None:
    """More than half of these calls do without Python, at one time or another: an interruption of the machine costs some."""
    before = 0
    for _ in range(25):
        calls(inputs)
        if replay().answered - before > len(inputs) / 2:
            return
        before = replay().answered
    pytest.fail("Python was needed most of the time")


def perceptron(seed: int = 0) -> rt_engine.Model:
    return rt_engine.load(mlp(WIDTHS, "Relu", seed=seed))


def graph(nodes: list[onnx.NodeProto], given: int, got: int, count: int, **constants: np.ndarray) -> rt_engine.Model:
    """x[count] -> nodes -> y[count]."""
    ends = [[helper.make_tensor_value_info(name, type_, [count])] for name, type_ in (("x", given), ("y", got))]
    known = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    made = helper.make_graph(nodes, "g", *ends, known)
    return rt_engine.load(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))


def expected(model: rt_engine.Model, inputs: np.ndarray) -> bytes:
    (y,) = model.run({"x": inputs.astype(np.float32).reshape(1, -1)})
    return y.tobytes()


def equal(found: object, right: object) -> None:
    assert found == right


def random_inputs(count: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((count, WIDTHS[0])).astype(np.float32)


def test_answers_are_the_same_with_and_without(replays: list[Replay]) -> None:
    """Every answer has its request's id and the model's bits; all but the first calls do without Python."""
    model = perceptron()

    def calls(inputs: np.ndarray) -> None:
        for one in inputs:
            assert client.call(one) == (0, 1, expected(model, one))

    with serving(model) as (client, _):
        mostly_replayed(lambda: replays[0], random_inputs(200), calls)


def test_other_requests_in_between_are_answered(replays: list[Replay]) -> None:
    """A call of another model or of another length, half requests and two at once: all in order, all right."""
    model = perceptron()
    with serving(model) as (client, _):
        inputs = random_inputs(8)
        right = [(0, 1, expected(model, one)) for one in inputs]
        until_replayed(client, lambda: replays[0], inputs[0])
        assert client.call(inputs[0], model=9)[0] == 200
        assert client.call(inputs[0][:3])[0] == 201
        assert client.call(inputs[0], size=8)[0] == BAD_SIZE
        client.socket.sendall(request(inputs[1], 71) + request(inputs[2], 72))
        assert [client.answer(71), client.answer(72)] == right[1:3]
        whole = request(inputs[3], 73) + request(inputs[4], 74)
        for at in range(0, len(whole), 59):
            client.socket.sendall(whole[at : at + 59])
            time.sleep(0.005)
        assert [client.answer(73), client.answer(74)] == right[3:5]
        then_replayed(replays[0], lambda: equal([client.call(one) for one in inputs], right))


def test_a_new_version_answers_from_the_next_call_on(replays: list[Replay]) -> None:
    """After a hot update no call is answered by the old version, and the new one is replayed."""
    old, new = perceptron(0), perceptron(1)
    with serving(old) as (client, slot):
        inputs = random_inputs(20)
        until_replayed(client, lambda: replays[0], inputs[0])
        slot.update(new)
        right = [(0, 2, expected(new, one)) for one in inputs]
        then_replayed(replays[0], lambda: equal([client.call(one) for one in inputs], right))


def test_infinite_outputs_are_told(replays: list[Replay]) -> None:
    """An answer without Python has status 106 when outputs are not finite, and 0 again afterwards."""
    with serving(perceptron()) as (client, _):
        good = random_inputs(1)[0]
        bad = np.full(WIDTHS[0], np.inf, np.float32)
        until_replayed(client, lambda: replays[0], good)
        told = without_python(replays[0], 3, lambda: [client.call(x)[0] for x in (good, bad, good)])
        assert told == [0, NAN_OUTPUT, 0]


def test_a_state_that_became_infinite_begins_anew(replays: list[Replay]) -> None:
    """One absurd sample makes it so: that call says so, and the next one is right; with Python, and without."""
    ends = {n: helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1]) for n in ("x", "before", "total")}
    nodes = [helper.make_node("Mul", ["x", "x"], ["square"]), helper.make_node("Add", ["before", "square"], ["total"])]
    made = helper.make_graph(nodes, "g", [ends["x"], ends["before"]], [ends["total"]])
    file = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    two, absurd = np.full(1, 2.0), np.full(1, 3e38)

    def total(value: float, status: int = 0) -> tuple[int, int, bytes]:
        return status, 1, struct.pack("<f", value)

    with serving(rt_engine.load(file, state={"total": "before"})) as (client, _):
        assert [client.call(x) for x in (two, absurd, two, two)] == [
            *(total(4), total(np.inf, NAN_OUTPUT), total(4), total(8))
        ]
        until_replayed(client, lambda: replays[0], two)
        found = without_python(replays[0], 5, lambda: [client.call(x) for x in (absurd, two, two, absurd, two)])
        assert found[1:] == [total(4), total(8), total(np.inf, NAN_OUTPUT), total(4)]


def test_a_failed_run_is_told(replays: list[Replay]) -> None:
    """A run that ends with a status gives that status and no outputs; the next good one is answered."""
    index = helper.make_tensor_value_info("i", onnx.TensorProto.INT32, [1])
    y = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    table = helper.make_tensor("t", onnx.TensorProto.FLOAT, [3], [10.0, 20.0, 30.0])
    graph = helper.make_graph([helper.make_node("Gather", ["t", "i"], ["y"])], "g", [index], [y], [table])
    model = rt_engine.load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))

    def number(value: int) -> np.ndarray:
        return np.array([value], np.int32).view(np.float32)

    with serving(model) as (client, _):
        good = struct.pack("<f", 30.0)
        until_replayed(client, lambda: replays[0], number(2), 1, 12)
        before = replays[0].answered
        status, version, outputs = client.call(number(99), size=12)
        assert (status != 0, status < 100, version, outputs) == (True, True, 1, b"")
        assert client.call(number(2), size=12) == (0, 1, good)
        assert replays[0].answered == before


def test_the_rate_is_counted(replays: list[Replay]) -> None:
    """A client that asks more often than it may is refused, with or without Python."""
    with serving(perceptron(), rate=50) as (client, _):
        inputs = random_inputs(1)[0]
        found = [client.call(inputs)[0]]
        while not found[-1] and len(found) < 5000:
            found.append(client.call(inputs)[0])
        assert found[-1] == BUSY and len(found) > 50
        assert replays[0].answered > 0


def test_answers_that_do_not_fit_wait_in_order(replays: list[Replay]) -> None:
    """A client that fetches nothing for a while gets every answer, in order; some were cut by a full socket.

    Where the server is interrupted just when the socket fills, Python does all of it: then another client tries.
    """
    late: list[int] = []
    with serving(perceptron()) as (other, _):
        for _ in range(20):
            _fetch_late(Caller(other.server, buffer=4096), replays, late)
            if late:
                break
    assert late and 0 < late[0] <= 70


def _fetch_late(client: Caller, replays: list[Replay], late: list[int]) -> None:
    """1,500 calls, and only then their answers; `late`: bytes of those that did not fit into the socket."""
    inputs, count = random_inputs(1)[0], 1500
    until_replayed(client, lambda: replays[-1], inputs)
    replay = replays[-1]
    (connection,) = (c for c in tuple(client.server.connections) if c._repeated.replay is replay)
    connection._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    write, replay._late = replay._late, lambda rest: (late.append(len(rest)), write(rest))[1]
    for invoke in range(count):
        client.socket.sendall(request(inputs, invoke))
        time.sleep(0.0001)
    assert [client.answer(invoke)[0] for invoke in range(count)] == [0] * count


def test_others_are_served_while_one_calls() -> None:
    """A client that calls without a pause does not keep another from asking for a symbol."""
    with serving(perceptron(), rate=1_000_000) as (client, _):
        other = Caller(client.server)
        for _ in range(5):
            for _ in range(50):
                client.call(random_inputs(1)[0])
            assert other.call(random_inputs(1)[0])[0] == 0


def test_native_code_asks_for_sockets_the_clock_and_memory_moves_alone() -> None:
    """No Python symbol, no allocation: read from the object file."""
    assert undefined(NATIVE.build()) <= ALLOWED | {"epoll_wait", "recv", "send"}


def test_all_that_is_not_zero_is_true(replays: list[Replay]) -> None:
    """A BOOL of a PLC is a byte. NOT of 2 is FALSE, as NOT of 1 is, with Python and without."""
    model = graph([helper.make_node("Not", ["x"], ["y"])], TensorProto.BOOL, TensorProto.BOOL, 64)
    given = np.frombuffer(bytes(range(64)), np.float32)  # as `call` takes what it sends
    with serving(model) as (client, _):
        right = (0, 1, b"\1" + bytes(63))
        assert client.call(given, 1, 72) == right
        until_replayed(client, lambda: replays[0], np.zeros(16), 1, 72)
        assert without_python(replays[0], 1, lambda: client.call(given, 1, 72)) == right


def test_a_call_that_takes_long_is_the_last_without_python(replays: list[Replay]) -> None:
    """A model may be fast on some inputs and slow on others: the slow ones go to a thread, where nobody waits for them."""
    size, trips = 256, 2000
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["w", "v"], ["u"]),
            helper.make_node("Slice", ["u", "zero", "one"], ["first"]),
            helper.make_node("Squeeze", ["first"], ["scalar"]),
            helper.make_node("Greater", ["scalar", "limit"], ["more"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, [size]),
        ],
        [
            helper.make_tensor_value_info("more", TensorProto.BOOL, []),
            helper.make_tensor_value_info("u", TensorProto.FLOAT, [size]),
        ],
    )
    model = graph(
        [helper.make_node("Loop", ["trips", "on", "x"], ["y"], body=body)],
        *(TensorProto.FLOAT, TensorProto.FLOAT, size),
        trips=np.array(trips),
        on=np.array(True),
        w=np.eye(size, dtype=np.float32),
        zero=np.zeros(1, np.int64),
        one=np.ones(1, np.int64),
        limit=np.array(0.5, np.float32),
    )
    fast, slow, bytes_ = np.zeros(size), np.ones(size), 8 + 4 * size
    with serving(model) as (client, _):
        until_replayed(client, lambda: replays[0], fast, 1, bytes_)
        before = replays[0].answered
        for _ in range(5):
            assert client.call(slow, 1, bytes_) == (0, 1, np.ones(size, np.float32).tobytes())
        assert replays[0].answered <= before + 1


def test_a_version_and_its_model_belong_together() -> None:
    """A model that is replaced while a client makes its context is not called by the old one's number."""

    class Raced(ModelSlot):
        is_armed = False

        @property
        def version(self) -> int:
            number = super().version
            if self.is_armed:
                self.is_armed = False
                self.update(perceptron(1))
            return number

    slot = Raced(perceptron())
    slot.is_armed = True
    inputs = random_inputs(1)[0]
    for _ in range(2):
        answer = Predictor(Models({"policy": slot})).call(1, inputs.tobytes())
        version = struct.unpack_from("<I", answer, 4)[0]
        assert answer[8:] == expected(perceptron(version - 1), inputs)


class ModbusCaller:
    """A Modbus client with a socket; the model's block is the first."""

    def __init__(self, port: int, order: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self._order, self._transaction = order, 0

    def ask(self, pdu: bytes) -> bytes:
        self._transaction += 1
        self.socket.sendall(struct.pack(">HHHB", self._transaction, 0, len(pdu) + 1, 1) + pdu)
        head = self.socket.recv(7, socket.MSG_WAITALL)
        transaction, _, length, _ = struct.unpack(">HHHB", head)
        assert transaction == self._transaction
        return self.socket.recv(length - 1, socket.MSG_WAITALL)

    def wire(self, values: np.ndarray) -> bytes:
        """32-bit values as registers; its own inverse for these orders."""
        raw = np.frombuffer(values.tobytes(), np.uint8).reshape(-1, {"ABCD": 4, "CDAB": 2, "DCBA": 1}[self._order])
        return raw[:, ::-1].tobytes()

    def call(self, inputs: np.ndarray) -> bytes:
        data = self.wire(inputs.astype(np.float32))
        answer = self.ask(struct.pack(">BHHHHB", 23, 10_032, 12, 10_000, 32, 64) + data)
        assert answer[:2] == bytes((23, 24))
        return self.wire(np.frombuffer(answer[2:], np.uint8))

    def read(self, address: int, count: int) -> bytes:
        return self.wire(np.frombuffer(self.ask(struct.pack(">BHH", 3, address, count))[2:], np.uint8))


@pytest.mark.parametrize("order", ["ABCD", "CDAB", "DCBA"])
def test_modbus_answers_are_the_same_and_are_read_back(order: str, replays: list[Replay]) -> None:
    """In each order the model's bits; inputs and result of the newest call can be read, whoever answered it."""
    slot = ModelSlot(perceptron())
    models, options = Models({"policy": slot}), ModbusOptions(Tcp(port=0), order=Order(order))
    with plant.serving(ModbusServer(plant.database(), models, options, Access())) as server:
        client = ModbusCaller(server.address[1], order)
        inputs = random_inputs(60)

        def calls(inputs: np.ndarray) -> None:
            for one in inputs:
                assert client.call(one) == struct.pack("<II", 0, 1) + expected(slot.model, one)

        mostly_replayed(lambda: replays[0], inputs, calls)
        assert client.read(10_032, 12) == struct.pack("<II", 0, 1) + expected(slot.model, inputs[-1])
        assert client.read(10_000, 32) == inputs[-1].tobytes()
        slot.update(perceptron(1))
        assert client.call(inputs[-1]) == struct.pack("<II", 0, 2) + expected(slot.model, inputs[-1])
        assert server.status().requests >= len(inputs) + 2


def test_an_order_that_a_replay_does_not_know_is_not_replayed(replays: list[Replay]) -> None:
    """In BADC every call is answered by Python, and rightly."""
    slot = ModelSlot(perceptron())
    options = ModbusOptions(Tcp(port=0), order=Order.BADC)
    with plant.serving(ModbusServer(plant.database(), Models({"policy": slot}), options, Access())) as server:
        client = ModbusCaller(server.address[1], "DCBA")
        for inputs in random_inputs(20):
            swapped = np.frombuffer(inputs.tobytes(), np.uint16).reshape(-1, 2)[:, ::-1]
            got = client.call(np.frombuffer(swapped.tobytes(), np.float32))
            words = np.frombuffer(got, np.uint16).reshape(-1, 2)[:, ::-1]
            assert words.tobytes() == struct.pack("<II", 0, 1) + expected(slot.model, inputs)
        assert replays[0].answered == 0


def test_zeros_teach_no_order(replays: list[Replay]) -> None:
    """In BADC zeros look as they do in any order; what comes after them is answered rightly."""
    slot = ModelSlot(graph([helper.make_node("Relu", ["x"], ["y"])], TensorProto.FLOAT, TensorProto.FLOAT, 16))
    options = ModbusOptions(Tcp(port=0), order=Order.BADC)
    with plant.serving(ModbusServer(plant.database(), Models({"policy": slot}), options, Access())) as server:
        client = ModbusCaller(server.address[1], "DCBA")
        one = np.frombuffer(np.full(16, 1.5, "<f4").tobytes(), np.uint16)
        for values in [np.zeros(32, np.uint16)] * 20 + [one.reshape(-1, 2)[:, ::-1].reshape(-1)]:
            got = client.ask(struct.pack(">BHHHHB", 23, 10_032, 36, 10_000, 32, 64) + values.tobytes())
            assert got[10:] == values.tobytes()


def test_half_a_modbus_frame_waits_for_its_other_half(replays: list[Replay]) -> None:
    """A whole request's bytes behind half a request are not taken for a request."""
    slot = ModelSlot(perceptron())
    options = ModbusOptions(Tcp(port=0))
    with plant.serving(ModbusServer(plant.database(), Models({"policy": slot}), options, Access())) as server:
        client = ModbusCaller(server.address[1], "ABCD")
        inputs = random_inputs(1)[0]
        until_replayed(client, lambda: replays[0], inputs)
        before = replays[0].answered
        data = client.wire(inputs)
        whole = struct.pack(">HHHBBHHHHB", 7, 0, 75, 1, 23, 10_032, 12, 10_000, 32, 64) + data
        client.socket.sendall(whole[:20])
        time.sleep(0.05)
        client.socket.sendall(whole[20:] + whole[:20])
        time.sleep(0.05)
        client.socket.sendall(whole[20:])
        for _ in range(2):
            assert client.socket.recv(33, socket.MSG_WAITALL)[:2] == b"\0\7"
        assert replays[0].answered == before


def test_a_call_behind_a_slow_one_waits(replays: list[Replay], monkeypatch: pytest.MonkeyPatch) -> None:
    """While a thread computes for a connection, nothing is answered before it, though it is known."""
    run = PredictBlock.run

    def slow(block: PredictBlock) -> None:
        time.sleep(0.2 * (block.shared.index == 1))
        run(block)

    monkeypatch.setattr(PredictBlock, "run", slow)
    models = Models({"policy": ModelSlot(perceptron()), "other": ModelSlot(perceptron(1))})
    with plant.serving(ModbusServer(plant.database(), models, ModbusOptions(Tcp(port=0)), Access())) as server:
        client = ModbusCaller(server.address[1], "ABCD")
        inputs = random_inputs(1)[0]
        until_replayed(client, lambda: replays[0], inputs)
        data = client.wire(inputs)
        for transaction, block in ((1, 10_100), (2, 10_000)):
            head = struct.pack(">HHHBBHHHHB", transaction, 0, 75, 1, 23, block + 32, 12, block, 32, 64)
            client.socket.sendall(head + data)
            time.sleep(0.05)
        found = [client.socket.recv(33, socket.MSG_WAITALL) for _ in range(2)]
        assert [struct.unpack_from(">H", answer)[0] for answer in found] == [1, 2]
        assert found[0][17:] != found[1][17:]


def test_an_ads_call_behind_a_slow_one_waits(replays: list[Replay], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same over ADS."""
    call = Predictor.call

    def slow(predictor: Predictor, model: int, payload: bytes) -> bytes:
        time.sleep(0.2 * (model == 2))
        return call(predictor, model, payload)

    monkeypatch.setattr(Predictor, "call", slow)
    models = Models({"policy": ModelSlot(perceptron()), "other": ModelSlot(perceptron(1))})
    with plant.serving(AdsServer(plant.database(), models, AdsOptions(port=0), Access())) as server:
        client, inputs = Caller(server), random_inputs(1)[0]
        until_replayed(client, lambda: replays[0], inputs)
        for invoke, model in ((1001, 2), (1002, 1)):
            client.socket.sendall(request(inputs, invoke, model))
            time.sleep(0.05)
        assert client.answer(1001)[2] != client.answer(1002)[2]
        assert server.status().requests >= replays[0].answered + 3


@pytest.mark.parametrize("kind", ["ads", "modbus"])
def test_a_client_that_is_gone_leaves_no_context(kind: str) -> None:
    """Contexts may be large: they go with the connection, not when Python looks for cycles."""
    known: list[weakref.ref[Context]] = []
    model = perceptron()
    make = model.context

    def noted() -> Context:
        context = make()
        known.append(weakref.ref(context))
        return context

    model.context = noted  # type: ignore[method-assign]
    models, inputs = Models({"policy": ModelSlot(model)}), random_inputs(1)[0]
    servers = {
        "ads": lambda: AdsServer(plant.database(), models, AdsOptions(port=0), Access()),
        "modbus": lambda: ModbusServer(plant.database(), models, ModbusOptions(Tcp(port=0)), Access()),
    }
    gc.disable()
    try:
        with plant.serving(servers[kind]()) as server:
            client = Caller(server) if kind == "ads" else ModbusCaller(server.address[1], "ABCD")
            for _ in range(20):
                client.call(inputs)
            assert [context() is not None for context in known] == [True]
            client.socket.close()
            wait_for(lambda: known[0]() is None)
    finally:
        gc.enable()


def test_nothing_is_computed_for_a_client_that_is_gone() -> None:
    """A call that waited for a thread while its client left makes no context, also when it leaves at that very moment."""
    slot, inputs = ModelSlot(perceptron()), random_inputs(1)[0].tobytes()
    predictor = Predictor(Models({"policy": slot}))
    assert predictor.call(1, inputs)[:4] == bytes(4)
    predictor.close()
    assert predictor.caller(1) is None
    assert predictor.call(1, inputs) == struct.pack("<II", CallStatus.INTERNAL, 1)
    assert predictor.caller(1) is None
    model, leaving = slot.model, Predictor(Models({"policy": slot}))
    make = model.context

    def leave() -> Context:
        leaving.close()
        return make()

    model.context = leave  # type: ignore[method-assign]
    leaving.call(1, inputs)
    assert leaving.caller(1) is None


def test_the_object_depends_on_its_sources() -> None:
    """An edit of any of these compiles the object anew."""
    reached = set(reachable_sources("plc_bindings.calls.replay_native"))
    assert reached >= {"plc_bindings.calls.replay_native", "plc_bindings.calls.replay_block", "rt_native.sockets"}
