"""Blocks for TwinCAT: what is written parses, and executed against our ADS server they do what they say."""

import re
import struct
import xml.etree.ElementTree as ET

import blark.parse
import numpy as np
import pytest
from onnx import TensorProto, helper

import rt_engine
from fieldbus.ads import frames
from plc_bindings.ads import groups
from plc_bindings.ads.device import AdsOptions, Device
from plc_bindings.ads.session import AdsSession
from plc_bindings.data.database import Area, Database
from plc_bindings.data.models import Models
from plc_bindings.data.types import Struct
from plc_bindings.security.access import Access
from plc_bindings.st import twincat
from plc_bindings.st.names import KEYWORDS
from plc_bindings.st.project import project
from plc_bindings.st.statuses import STATUSES
from plc_bindings.st.write import twincat_files, write
from plc_bindings.status import CallStatus
from rt_engine import ModelSlot
from rt_engine.change import ChangeState, Verdict
from scheduler.status import TaskStatus
from tests.plc_bindings.st.evaluator import syntax_errors
from tests.plc_bindings.st.evaluator_types import Cell, buffer, string_type
from tests.plc_bindings.st.exported import ADS, POLICY, kinds, load, square_root, twincat_program, wide

X = np.linspace(-0.5, 0.5, 7, dtype=np.float32)


class Nothing(Area):
    def read(self):
        return b""


class Ads:
    """ADSRDWRTEX with a session of our server behind it, which answers `delay` calls later; `broken`: an ADS error."""

    def __init__(self, models, attributes=None):
        access = Access()
        device = Device(
            Database([Nothing("Nothing", Struct("", ()))], []),
            models,
            AdsOptions(net_id=ADS.net_id, ams_port=ADS.port),
            access,
            lambda model: attributes or {},
        )
        self.session = AdsSession(device, access.admit("127.0.0.1"), device.database.writable(()), device.net_id(""))
        self.delay, self.broken = 1, 0
        self.requests = []
        self._running = {}

    def __call__(self, block):
        edge = block.WRTRD and not block.bLast
        block.bLast = block.WRTRD
        if edge and not block.BUSY:
            block.BUSY = True
            data = block.SRCADDR.read(block.WRITELEN)
            self.requests.append((block.IDXGRP, block.IDXOFFS, data))
            self._running[id(block)] = (self.delay, block.DESTADDR, self._answer(block, data))
        elif block.BUSY:
            left, target, (error, data) = self._running[id(block)]
            if left > 1:
                self._running[id(block)] = (left - 1, target, (error, data))
                return
            target.write(data)
            block.BUSY, block.ERR, block.ERRID, block.COUNT_R = False, error != 0, error, len(data)

    def _answer(self, block, data):
        if self.broken:
            return self.broken, b""
        body = frames.READ_WRITE.pack(block.IDXGRP, block.IDXOFFS, block.READLEN, len(data)) + data
        ends = (frames.net_id(block.NETID), block.PORT, bytes(6), 32000)
        head = frames.HEAD.pack(0, 32 + len(body), *ends, 9, 4, len(body), 0, 1)
        got = self.session.feed(head + body)
        if not got and self.session.job is not None:
            got = self.session.resume(self.session.job())
        error, size = struct.unpack_from("<II", got, 38)
        return error, got[46 : 46 + size]


LIBRARY = """FUNCTION_BLOCK ADSRDWRTEX
VAR_INPUT
    NETID : STRING(23);
    PORT : UINT;
    IDXGRP : UDINT;
    IDXOFFS : UDINT;
    WRITELEN : UDINT;
    READLEN : UDINT;
    SRCADDR : PVOID;
    DESTADDR : PVOID;
    WRTRD : BOOL;
    TMOUT : TIME;
END_VAR
VAR_OUTPUT
    BUSY : BOOL;
    ERR : BOOL;
    ERRID : UDINT;
    COUNT_R : UDINT;
END_VAR
VAR
    bLast : BOOL;
END_VAR
END_FUNCTION_BLOCK
"""


class Plc:
    """A PLC with exported blocks, and a station's ADS server."""

    def __init__(self, models, served=None, attributes=None):
        self.slots = {name: ModelSlot(model, name) for name, model in (served or models).items()}
        self.ads = Ads(Models(self.slots), attributes)
        units = twincat.units(project("cell", models), ADS)
        self.program = twincat_program(units, LIBRARY, natives={"ADSRDWRTEX": self.ads})

    def cycles(self, block, most=20, **inputs):
        """Call until the block is no longer busy; how many calls that took."""
        for i in range(1, most + 1):
            block(**inputs)
            if not block.bBusy:
                return i
        raise AssertionError("still busy")


@pytest.fixture(scope="module")
def policy():
    return rt_engine.load(POLICY)


@pytest.fixture
def plc(policy):
    return Plc({"policy": policy})


def test_a_rising_edge_runs_the_model_once(plc, policy):
    """Configure, then predict: the outputs are ours to the bit; no further call without another edge."""
    block = plc.program.new("FB_policy")
    name = policy.inputs[0].name
    setattr(block.stIn, name, X)
    assert plc.cycles(block, bExecute=True) == 3
    assert block.bValid and not block.bError and block.hrErrorCode == 0 and block.nVersion == 1
    assert block.at("stOut").read() == policy.run({name: X.reshape(1, 7)})[0].tobytes()
    assert [group for group, _, _ in plc.ads.requests] == [groups.LOOKUP, groups.PREDICT]
    assert plc.ads.requests[1] == (groups.PREDICT, 1, X.tobytes())
    for _ in range(5):
        block(bExecute=True)
    assert len(plc.ads.requests) == 2 and block.nAge == 5
    block(bExecute=False)
    plc.cycles(block, bExecute=True)
    assert [group for group, _, _ in plc.ads.requests[2:]] == [groups.LOOKUP, groups.PREDICT]


def test_cyclic_calls_follow_each_other_and_keep_the_last_result(plc, policy):
    """One result each cycle once it runs; a hot update shows in nVersion; stOut is never half of a result."""
    block = plc.program.new("FB_policy")
    for i in range(12):
        setattr(block.stIn, policy.inputs[0].name, X * i)
        block(bExecute=True, bCyclic=True)
    assert block.bValid and block.nAge == 0
    assert len(plc.ads.requests) >= 10
    plc.slots["policy"].update(rt_engine.load(POLICY.with_name("policy-v2.onnx")))
    for _ in range(4):
        block(bExecute=True, bCyclic=True)
    assert block.nVersion == 2 and block.bValid


def test_every_type_travels(tmp_path):
    """Scalars and arrays of every type that a PLC has come back as they were sent."""
    model = kinds(tmp_path)
    plc = Plc({"kinds": model})
    block = plc.program.new("FB_kinds")
    data = bytes(np.random.default_rng(1).integers(0, 2, len(block.at("stIn").read()), dtype=np.uint8))
    block.at("stIn").write(data)
    plc.cycles(block, bExecute=True)
    assert block.bValid, block.hrErrorCode
    assert block.at("stOut").read() == data


def test_another_interface_is_refused_at_configure(tmp_path, policy):
    """The station runs another model under the name: no input is sent, and the block says so."""
    plc = Plc({"policy": policy}, served={"policy": wide(tmp_path)})
    block = plc.program.new("FB_policy")
    plc.cycles(block, bExecute=True)
    assert block.bError and not block.bValid and block.hrErrorCode == CallStatus.OTHER_INTERFACE
    assert [group for group, _, _ in plc.ads.requests] == [groups.LOOKUP]


def test_an_unknown_model_is_refused_at_configure(policy):
    plc = Plc({"policy": policy}, served={"other": policy})
    block = plc.program.new("FB_policy")
    plc.cycles(block, bExecute=True)
    assert block.bError and block.hrErrorCode == CallStatus.UNKNOWN_MODEL


def test_nan_is_an_error_and_the_old_result_stays(tmp_path):
    """Status 106 comes with outputs; stOut keeps the last good ones."""
    plc = Plc({"root": square_root(tmp_path)})
    block = plc.program.new("FB_root")
    block.stIn.x = (4.0, 9.0)
    plc.cycles(block, bExecute=True)
    block.stIn.x = (-1.0, 16.0)
    block(bExecute=False)
    plc.cycles(block, bExecute=True)
    assert block.bError and not block.bValid and block.hrErrorCode == TaskStatus.NAN_OUTPUT
    assert block.stOut.y == [2.0, 3.0]


def test_a_broken_connection_is_told_and_mended(plc):
    """The ADS error number is shown; in cyclic mode calls go on, with a new Configure, until one is good."""
    block = plc.program.new("FB_policy")
    plc.ads.broken = 0x745
    for _ in range(5):
        block(bExecute=True, bCyclic=True)
    assert block.bError and block.hrErrorCode == CallStatus.CONNECTION and not block.bValid
    assert block.nAdsError == 0x745
    plc.ads.broken = 0
    for _ in range(5):
        block(bExecute=True, bCyclic=True)
    assert block.bValid and not block.bError and block.nAdsError == 0


def test_a_late_answer_is_a_timeout_and_does_not_become_the_next_result(plc, policy):
    """After so many cycles the call fails; the next call waits until ADSRDWRTEX is free, and gets its own answer."""
    block = plc.program.new("FB_policy")
    plc.cycles(block, bExecute=True)
    block(bExecute=False)
    plc.ads.delay = 8
    assert plc.cycles(block, bExecute=True, nTimeout=5) == 5
    assert block.bError and block.hrErrorCode == CallStatus.TIMEOUT
    block(bExecute=False)
    plc.ads.delay = 1
    name = policy.inputs[0].name
    setattr(block.stIn, name, X)
    plc.cycles(block, bExecute=True, nTimeout=20)
    assert block.bValid
    assert block.at("stOut").read() == policy.run({name: X.reshape(1, 7)})[0].tobytes()


def of_the_same_sizes(folder):
    """Another interface, whose bytes are as many as the policy's."""
    return load(
        [helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0)],
        [("x", TensorProto.FLOAT, [7])],
        [("y", TensorProto.FLOAT, [])],
        folder,
    )


@pytest.mark.parametrize("cyclic", [False, True])
def test_a_station_that_came_back_as_another_one_is_not_called(plc, policy, tmp_path, cyclic):
    """While the block rested, or while it waited for an answer: the interface is compared before the next call."""
    block = plc.program.new("FB_policy")
    plc.cycles(block, bExecute=True)
    assert block.bValid
    if cyclic:
        plc.ads.delay = 8
        for _ in range(5):
            block(bExecute=True, bCyclic=True, nTimeout=5)
        assert block.hrErrorCode == CallStatus.TIMEOUT
    else:
        block(bExecute=False)
    plc.ads.session, plc.ads.delay = Plc({"policy": of_the_same_sizes(tmp_path)}).ads.session, 1
    for _ in range(15):
        block(bExecute=True, bCyclic=cyclic, nTimeout=20)
    assert block.hrErrorCode == CallStatus.OTHER_INTERFACE and not block.bValid


def test_a_late_result_is_as_old_as_its_inputs(plc):
    """It is good, and came in this cycle; its inputs are those of when the call began."""
    block = plc.program.new("FB_policy")
    plc.ads.delay = 8
    for cycles in (17, 17):
        assert plc.cycles(block, bExecute=True) == cycles
        assert (block.bValid, block.nAge, block.nInputAge) == (True, 0, cycles - 1)
        block(bExecute=False)
        assert (block.nAge, block.nInputAge) == (1, cycles)


def test_reset_forgets_the_call_and_the_error(plc):
    block = plc.program.new("FB_policy")
    plc.ads.broken = 0x745
    plc.cycles(block, bExecute=True)
    assert block.bError
    plc.ads.broken = 0
    block(bExecute=True, bReset=True)
    assert not block.bError and not block.bBusy and block.hrErrorCode == 0
    plc.cycles(block, bExecute=True, bReset=False)
    assert block.bValid
    block(bExecute=True, bReset=True)
    assert not block.bValid
    block(bReset=False)
    assert block.bBusy and block.fbPredict.bBusy
    block(bReset=True)
    assert not block.bBusy and not block.fbPredict.bBusy and not block.fbPredict.bConfigured


def test_a_new_call_forgets_the_last_one(tmp_path):
    """While it is under way neither the old result nor the old error is shown."""
    plc = Plc({"root": square_root(tmp_path)})
    block = plc.program.new("FB_root")
    for values, is_good in (((4.0, -9.0), False), ((4.0, 9.0), True), ((1.0, 1.0), True)):
        block.stIn.x = values
        block(bExecute=False)
        block(bExecute=True)
        assert block.bBusy and not block.bError and not block.bValid and block.hrErrorCode == 0
        plc.cycles(block)
        assert block.bValid == is_good and block.bError != is_good


def predict(plc, block, data, size, method="Predict", **more):
    """A call of FB_RtPredict until it gives TRUE."""
    source, target = buffer(data), buffer(bytes(size))
    for _ in range(20):
        if block.call(method, pDataIn=source, nDataInSize=len(data), pDataOut=target, nDataOutSize=size, **more):
            return target.read()
    raise AssertionError("no answer")


def text_buffer():
    """A T_MaxString for a VAR_IN_OUT."""
    return Cell(string_type(255), [""], 0)


def configured(plc, model="policy"):
    block = plc.program.new("FB_RtPredict")
    block.stPredictionParameter.sModel = model
    while not block.call("Configure"):
        pass
    return block


def test_predict_before_configure_is_refused(plc):
    block = plc.program.new("FB_RtPredict")
    predict(plc, block, X.tobytes(), 4)
    assert block.bError and block.hrErrorCode == CallStatus.NOT_CONFIGURED and not block.bBusy
    assert plc.ads.requests == []


def test_attributes_before_configure_are_refused(plc):
    block = plc.program.new("FB_RtPredict")
    text = text_buffer()
    assert block.call("GetCustomAttribute_str", sCustomAttributeName="x", sDstAttributeStringBuffer=text)
    assert block.bError and block.hrErrorCode == CallStatus.NOT_CONFIGURED and plc.ads.requests == []


def test_the_timeout_is_that_of_each_call(plc):
    """Many calls together may take longer."""
    block = plc.program.new("FB_policy")
    for _ in range(30):
        block(bExecute=True, bCyclic=True, nTimeout=5)
        assert not block.bError
    assert block.bValid


def test_predict_ref_calls_any_model_by_name(plc, policy):
    """Without Configure; an unknown name is told."""
    block = plc.program.new("FB_RtPredict")
    got = predict(plc, block, X.tobytes(), 4, "PredictRef", sEngineRef="policy")
    assert got == policy.run({policy.inputs[0].name: X.reshape(1, 7)})[0].tobytes()
    assert plc.ads.requests == [(groups.PREDICT_REF, 0, b"policy".ljust(64, b"\0") + X.tobytes())]
    predict(plc, block, X.tobytes(), 4, "PredictRef", sEngineRef="nobody")
    assert block.bError and block.hrErrorCode == CallStatus.UNKNOWN_MODEL


@pytest.mark.parametrize(("sent", "wanted"), [(24, 4), (28, 8), (2000, 4), (28, 2000)])
def test_sizes_that_do_not_fit_are_refused(plc, sent, wanted):
    """Too few bytes for a set of inputs, outputs of another size than asked for, more than the buffers hold."""
    block = configured(plc)
    got = predict(plc, block, bytes(sent), wanted)
    assert block.bError and block.hrErrorCode == CallStatus.WRONG_SIZE
    assert got == bytes(wanted)


def test_attributes_of_the_model_file(policy):
    plc = Plc({"policy": policy}, attributes={"trained": "2026-03-01"})
    block = configured(plc)
    text = text_buffer()
    arguments = {"sCustomAttributeName": "trained", "sDstAttributeStringBuffer": text}
    while not block.call("GetCustomAttribute_str", **arguments):
        pass
    assert text.value == "2026-03-01" and not block.bError
    arguments["sCustomAttributeName"] = "nobody"
    while not block.call("GetCustomAttribute_str", **arguments):
        pass
    assert block.bError and block.hrErrorCode == CallStatus.UNKNOWN_ATTRIBUTE


@pytest.mark.parametrize("method", ["Configure", "PredictRef", "GetCustomAttribute_str"])
def test_one_request_at_a_time(plc, method):
    """Another method meanwhile is refused with BUSY, and the first request still ends well."""
    block = configured(plc)
    arguments = {"pDataIn": buffer(bytes(28)), "nDataInSize": 28, "pDataOut": buffer(bytes(4)), "nDataOutSize": 4}
    others = {
        "Configure": {},
        "PredictRef": {**arguments, "sEngineRef": "policy"},
        "GetCustomAttribute_str": {
            "sCustomAttributeName": "x",
            "sDstAttributeStringBuffer": text_buffer(),
        },
    }
    assert not block.call("Predict", **arguments)
    assert block.call(method, **others[method])
    assert block.bError and block.hrErrorCode == CallStatus.BUSY
    assert block.call("Predict", **arguments)
    assert not block.bError and block.hrErrorCode == 0 and block.bConfigured
    assert not block.call("Configure")
    assert block.call("Predict", **arguments)
    assert block.bError and block.hrErrorCode == CallStatus.BUSY


def test_configuring_anew_forgets_the_old_model(plc):
    """A model that is not there: no call goes to the one before."""
    block = configured(plc)
    block.stPredictionParameter.sModel = "nobody"
    while not block.call("Configure"):
        pass
    assert block.bError and not block.bConfigured
    predict(plc, block, X.tobytes(), 4)
    assert block.hrErrorCode == CallStatus.NOT_CONFIGURED


def test_engine_options_are_refused(plc):
    """The station chooses instructions; to say otherwise is an error, not ignored."""
    block = configured(plc)
    assert block.call("SetActiveEngineOptions", sEngineOptions="")
    assert not block.call("SetActiveEngineOptions", sEngineOptions='{"allow_AVX":"false"}')
    assert block.bError and block.hrErrorCode == CallStatus.NOT_ALLOWED


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def units(policy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return twincat.units(project("cell", {"policy": policy, "kinds": kinds(folder)}), ADS)


def test_all_units_parse_as_the_standard_says(units):
    """Where TwinCAT leaves out the semicolon behind an END, one is put there first."""
    for unit in units:
        text = re.sub(r"^( *END_(?:STRUCT|IF|FOR))$", r"\1;", unit.text, flags=re.M)
        assert syntax_errors(text) == [], unit.name
    assert syntax_errors(units[0].text.replace("UDINT", "12", 1))


def test_blark_reads_all_files(policy, tmp_path):
    """A parser of TwinCAT's own dialect and file formats."""
    write({n: t for n, t in twincat_files(project("cell", {"policy": policy}), ADS).items() if ".Tc" in n}, tmp_path)
    paths = sorted(tmp_path.iterdir())
    assert {path.suffix for path in paths} == {".TcPOU", ".TcDUT", ".TcGVL"}
    for path in paths:
        for result in blark.parse.parse(path):
            assert result.exception is None, f"{path.name}: {result.exception}"


def test_no_name_is_taken(units):
    """No declared name of a unit, variable, method or enumerator is a keyword, or a standard type, function or block."""
    declared = {unit.name for unit in units} | {m.name for unit in units for m in unit.methods}
    for part in (*units, *(m for unit in units for m in unit.methods)):
        declared |= {v.name for section in part.sections for v in section.variables}
    assert len(declared) > 100
    assert {name for name in declared if name.lower() in KEYWORDS} == set()


def test_enumerators_that_blocks_name_exist(units):
    """Every `E_RtStatus.X` and `GVL_RtEngine.X` is declared."""
    known = {u.name: {v.name for v in u.sections[0].variables} for u in units if u.kind in ("ENUM", "VAR_GLOBAL")}
    used = [m for unit in units for m in re.findall(r"\b(E_RtStatus|GVL_RtEngine)\.(\w+)", unit.text)]
    assert len(used) > 30
    assert [(owner, name) for owner, name in used if name not in known[owner]] == []


def test_files_hold_all_that_units_hold(units, policy):
    """Declaration, body and methods, each in its element; ids differ; the same station gives the same bytes."""
    of = project("cell", {"policy": policy})
    files = twincat_files(of, ADS)
    root = ET.fromstring(files["FB_RtPredict.TcPOU"])
    block = next(u for u in units if u.name == "FB_RtPredict")
    assert root.find("POU/Declaration").text == block.declaration
    methods = root.findall("POU/Method")
    assert [m.get("Name") for m in methods] == [m.name for m in block.methods]
    assert [m.find("Implementation/ST").text for m in methods] == [m.body for m in block.methods]
    assert len(re.findall(r"^METHOD", block.text, re.M)) == len(methods) == 11
    ids = re.findall(r'Id="({.{36}})"', "".join(files.values()))
    assert len(ids) == len(set(ids)) > len(files)
    assert twincat_files(project("cell", {"policy": rt_engine.load(POLICY)}), ADS) == files


def test_structures_are_packed_and_commented(units):
    text = next(u.text for u in units if u.name == "ST_policy_In")
    assert text.startswith("{attribute 'pack_mode' := '1'}\nTYPE ST_policy_In :\nSTRUCT\n")
    assert "ARRAY [0..6] OF REAL; (* observation: float32[1, 7] *)" in text


def test_states_and_verdicts_of_a_change_are_those_of_the_engine(units):
    """What a PLC reads in `Models.NAME.ChangeState` has the name that Python gives it, and a line that says what it means."""
    for name, kind in (("E_RtChangeState", ChangeState), ("E_RtVerdict", Verdict)):
        found = next(u for u in units if u.name == name).sections[0].variables
        assert {v.name: int(v.initial) for v in found} == {member.name: member.value for member in kind}
        assert all(v.comment for v in found)


def test_statuses_are_those_of_the_engine(units):
    """Names are unique without regard to case, numbers are those of Python."""
    enum = next(u for u in units if u.name == "E_RtStatus")
    shown = {v.name: int(v.initial) for v in enum.sections[0].variables}
    assert shown == {name: number for name, number, _ in STATUSES}
    assert shown["TIMEOUT"] == CallStatus.TIMEOUT and shown["LIBRARY_OTHER_INTERFACE"] == 307
    assert len({name.lower() for name in shown}) == len(shown) == len(set(shown.values()))
