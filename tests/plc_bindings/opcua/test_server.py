"""The OPC UA server through asyncua's client: what is there, what it is worth, who may change it."""

import asyncio
import contextlib
import math
import time

import pytest
from asyncua import Client, ua
from asyncua.crypto import security_policies
from asyncua.ua.uaerrors import UaError, UaStatusCodeError

from fieldbus.opcua.certificates import Certificates
from fieldbus.opcua.own import make
from fieldbus.tags import Quality
from plc_bindings.opcua.options import OpcUaOptions
from plc_bindings.opcua.server import OpcUaServer
from plc_bindings.opcua.space import NAMESPACE
from tests.plc_bindings.opcua.plant import TOKENS, Heard, Plant, asked, connected, node, options, refusal, run
from tests.waiting import PATIENCE_S

SIGN, ENCRYPT = ua.MessageSecurityMode.Sign, ua.MessageSecurityMode.SignAndEncrypt


def test_a_tag_has_type_unit_range_and_time(served):
    """As AnalogUnitRangeType, with UN/CEFACT's code for m/s, and the time of the process image."""

    async def work(client, plant):
        speed = node(client, "Tags.Speed")
        for _ in range(50):  # an interruption between two clocks, here or at the server, makes one look wrong
            value = await speed.read_data_value()
            age_s = time.time() - value.SourceTimestamp.timestamp()
            was_s = (time.monotonic_ns() - plant.tags.timestamp_ns) / 1e9
            if abs(age_s - was_s) < 0.5:
                break
        unit = await (await speed.get_child("0:EngineeringUnits")).read_value()
        limits = await (await speed.get_child("0:EURange")).read_value()
        kind = await speed.read_type_definition()
        return (
            value.Value.VariantType,
            kind.Identifier,
            unit.UnitId,
            (limits.Low, limits.High),
            abs(age_s - was_s) < 0.5,
        )

    assert asked(served, work) == (ua.VariantType.Float, 17570, 5067859, (-10.0, 10.0), True)


def test_values_are_read_as_they_are(served):
    """Scalars, a text, an array, a member of a structure, and a number with names."""
    names = ("Tags.Count", "Tags.Word", "Tags.Enabled", "Tags.Curve", "Tasks.axis.CycleCount", "Tasks.axis.WakeUp.P50")

    async def work(client, plant):
        values = await client.read_values([node(client, name) for name in names])
        state = node(client, "Tasks.axis.State")
        type_ = client.get_node(await state.read_data_type())
        definition = await type_.read_data_type_definition()
        return values, await state.read_value(), {f.Name: f.Value for f in definition.Fields}

    values, state, definition = asked(served, work, "anna")
    assert values == [-7, 42, False, [float(i) for i in range(8)], 123_456_789_012, 27.5]
    assert (state, definition) == (1, {"idle": 0, "running": 1, "stopped": 2})


@pytest.mark.parametrize(
    ("quality", "code"),
    [(Quality.STALE, ua.StatusCodes.UncertainLastUsableValue), (Quality.BAD, ua.StatusCodes.BadNoCommunication)],
)
def test_quality_is_a_status(served, quality, code):
    async def work(client, plant):
        plant.tags.quality = quality
        try:
            return (await node(client, "Tags.Count").read_data_value(raise_on_bad_status=False)).StatusCode.value
        finally:
            plant.tags.quality = Quality.GOOD

    assert asked(served, work) == code


def test_an_operator_writes_what_is_writable(served):
    """Together what comes together; what is refused stands in the audit log."""

    async def work(client, plant):
        plant.audit.clear()
        speed, name = node(client, "Tags.Speed"), node(client, "Tags.Name")
        await client.write_values([speed, name], [ua.Variant(2.5, ua.VariantType.Float), "Förderband"])
        refused = [
            await refusal(node(client, "Tags.Word").write_value(1, ua.VariantType.UInt16)),
            await refusal(node(client, "Tags.Count").write_value(1.5, ua.VariantType.Double)),
            await refusal(node(client, "Tags.Curve").write_value([1.0], ua.VariantType.Float)),
            await refusal(node(client, "Tasks.axis.CycleCount").write_value(0, ua.VariantType.UInt64)),
            await refusal(speed.write_value(10.5, ua.VariantType.Float)),
            await refusal(speed.write_value(math.nan, ua.VariantType.Float)),
        ]
        return await speed.read_value(), await name.read_value(), refused, plant.refused()

    speed, name, refused, audit = asked(served, work)
    assert (speed, name) == (2.5, "Förderband")
    assert refused == [
        "BadNotWritable",
        "BadTypeMismatch",
        "BadOutOfRange",
        "BadNotWritable",
        "BadOutOfRange",
        "BadOutOfRange",
    ]
    assert audit == [
        "write of Tags.Word: refused: not writable",
        "write of Tasks.axis.CycleCount: refused: not writable",
    ]


def test_an_observer_changes_nothing(served):
    async def work(client, plant):
        plant.audit.clear()
        written = await refusal(node(client, "Tags.Speed").write_value(9.0, ua.VariantType.Float))
        called = await refusal(node(client, "Tasks.axis").call_method("2:Reset"))
        return written, called, plant.task.written, plant.refused()

    written, called, resets, audit = asked(served, work, "anna")
    assert (written, called, resets) == ("BadUserAccessDenied", "BadUserAccessDenied", [])
    assert audit == ["write of Tags.Speed: refused: not writable", "call of Tasks.axis.Reset: refused: not allowed"]


def test_predict_answers_as_the_model_does(served):
    """Status, version, outputs; and a call with too few numbers is none."""

    async def work(client, plant):
        policy = node(client, "Models.policy")
        given = ua.Variant([0.1] * 16, ua.VariantType.Float)
        short = await refusal(policy.call_method("2:Predict", ua.Variant([0.1] * 15, ua.VariantType.Float)))
        return await policy.call_method("2:Predict", given), short

    import numpy as np

    (status, version, y), short = asked(served, work)
    expected = served[0].models.all[0].slot.model.run({"x": np.full((1, 16), 0.1, np.float32)})[0]
    assert (status, version, short) == (0, 1, "BadInvalidArgument")
    assert y == [float(value) for value in expected.reshape(-1)]


def test_a_command_is_a_method(served):
    """Reset of a task, as if FALSE and then TRUE were written; and it stands in the log."""

    async def work(client, plant):
        plant.audit.clear()
        await node(client, "Tasks.axis").call_method("2:Reset")
        return plant.task.written[-2:], plant.audit

    written, audit = asked(served, work)
    assert written == [("127.0.0.1 otto", False), ("127.0.0.1 otto", True)]
    assert audit == [("127.0.0.1 otto", "call of Tasks.axis.Reset", "done")]


def test_a_certificate_is_for_its_application(served):
    """A client that says that it is another one is turned away."""

    async def work(client, plant):
        return "came in"

    with pytest.raises(UaStatusCodeError, match="BadCertificateUriInvalid"):
        asked(served, work, uri="urn:test:other")


@pytest.mark.parametrize("mode", [SIGN, ENCRYPT])
@pytest.mark.parametrize("policy", ["Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss"])
def test_every_policy_in_every_mode(served, policy, mode):
    """The password goes encrypted in the channel, or by itself in one that is only signed."""

    async def work(client, plant):
        return await node(client, "Tags.Word").read_value()

    kind = getattr(security_policies, f"SecurityPolicy{policy}")
    assert asked(served, work, policy=kind, mode=mode) == 42


def test_nobody_comes_in_without_name_certificate_or_channel(served, tmp_path):
    """Anonymous; a wrong password; a certificate that is not trusted; no security at all."""
    plant, server, folder = served
    make(tmp_path / "other", "urn:test:client", "stranger", ("127.0.0.1",))
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "own.der").write_bytes((folder.parent / "server" / "own.der").read_bytes())

    async def tried(user, client, password=""):
        made = Client("opc.tcp://{}:{}".format(*server.address), timeout=60)
        made.application_uri = "urn:test:client"
        if user:
            made.set_user(user)
            made.set_password(password)
        if client is not None:
            policy = security_policies.SecurityPolicyBasic256Sha256
            peer = client.parent / "server" / "own.der"
            await made.set_security(policy, client / "own.der", client / "own.pem", None, peer, ENCRYPT)
        try:
            async with made:
                return "came in"
        except (UaError, ConnectionError, TimeoutError) as error:
            return type(error).__name__

    async def work():
        plant.audit.clear()
        return [
            await tried("", folder),
            await tried("otto", folder, "rt_of_anna"),
            await tried("otto", tmp_path / "other", "rt_of_otto"),
            await tried("otto", None, "rt_of_otto"),
        ]

    outcomes = run(work())
    assert "came in" not in outcomes
    said = " | ".join(plant.refused())
    for words in ("wrong name or password", '"stranger"', "is not trusted"):
        assert words in said, (said, outcomes)


@contextlib.asynccontextmanager
async def opened(server, folder):
    """A client in a secure channel that has said nothing yet; its certificate is trusted."""
    made = Client("opc.tcp://{}:{}".format(*server.address), timeout=60)
    peer = folder.parent / "server" / "own.der"
    policy = security_policies.SecurityPolicyBasic256Sha256
    await made.set_security(policy, folder / "own.der", folder / "own.pem", None, peer, SIGN)
    await made.connect_socket()
    try:
        await made.send_hello()
        await made.open_secure_channel()
        yield made
    finally:
        made.disconnect_socket()


@pytest.mark.parametrize("whose", ["another's certificate", "the same certificate"])
def test_a_sessions_name_gives_nobody_its_rights(served, tmp_path, whose):
    """In a channel that is only signed everybody on the wire reads it. Who has it, and a trusted certificate, has no session yet."""
    plant, server, folder = served
    thief = folder
    if whose == "another's certificate":
        thief = tmp_path / "thief"
        make(thief, "urn:test:thief", "thief", ("127.0.0.1",))
        (tmp_path / "server").mkdir()
        (tmp_path / "server" / "own.der").write_bytes((folder.parent / "server" / "own.der").read_bytes())
        Certificates(folder.parent / "server").trust(str(thief / "own.der"))

    async def work():
        plant.audit.clear()
        async with connected(server, "otto", folder, mode=SIGN) as owner, opened(server, thief) as other:
            theirs = other.uaclient
            theirs.session.restore_authentication_token(owner.uaclient.session.authentication_token)
            params = ua.ActivateSessionParameters()
            params.ClientSignature.Signature = bytes(384)
            said = [await refusal(theirs.activate_session(params))]
            said.append(await refusal(node(other, "Tags.Count").write_value(666, ua.VariantType.Int32)))
            return said, await node(owner, "Tags.Count").read_value()

    (activated, written), count = run(work())
    assert (activated, written) == (
        "BadApplicationSignatureInvalid" if thief == folder else "BadSecurityChecksFailed",
        "BadSessionIdInvalid",
    )
    assert count != 666
    assert any("activate session" in line for line in plant.refused())


def test_a_session_goes_on_in_another_channel_of_its_client_and_leaves_the_one_before(served):
    _, server, folder = served

    async def work():
        async with connected(server, "otto", folder, mode=SIGN) as first, opened(server, folder) as second:
            second.uaclient.session.restore_authentication_token(first.uaclient.session.authentication_token)
            second._server_nonce, second._policy_ids = first._server_nonce, first._policy_ids
            await second.activate_session("otto", TOKENS["otto"])
            before = await refusal(node(first, "Tags.Word").read_value())
            return before, await node(second, "Tags.Word").read_value()

    assert run(work()) == ("BadSessionIdInvalid", 42)


def test_who_does_not_fetch_his_answers_fills_a_bounded_place_and_is_disconnected(served, monkeypatch):
    """Over real TCP, whose system would take megabytes: 300 answers of 57 KB are asked for, and none is read."""
    plant, server, folder = served
    monkeypatch.setattr("plc_bindings.opcua.connection.FETCH_S", 1.0)
    curves = [ua.ReadValueId(ua.NodeId("Tags.Curve", 2), ua.AttributeIds.Value)] * 1000
    before = set(server._connections)

    async def work():
        async with connected(server, "otto", folder) as client:
            (mine,) = set(server._connections) - before
            client.uaclient.protocol.transport.pause_reading()
            pending = [
                asyncio.ensure_future(client.uaclient.read(ua.ReadParameters(NodesToRead=curves))) for _ in range(300)
            ]
            most, end = 0, time.monotonic() + PATIENCE_S
            while mine in server._connections and time.monotonic() < end:
                with contextlib.suppress(OSError, ValueError):  # closed just now
                    most = max(most, mine._fetching.waiting)
                await asyncio.sleep(0.05)
            gone = mine not in server._connections
            for one in pending:
                one.cancel()
            if client.uaclient.protocol.transport is not None:  # else it has seen that it is gone
                client.uaclient.protocol.transport.abort()
            return gone, most

    plant.audit.clear()
    gone, most = run(work())
    assert gone and most < 1 << 20, most
    assert "disconnected: answers are not fetched" in [outcome for *_, outcome in plant.audit]
    assert asked(served, lambda client, plant: node(client, "Tags.Word").read_value()) == 42


def test_a_part_of_an_array_is_read_written_and_watched(served):
    """Elements 2 to 4 of eight; the others stay."""
    curve = ua.NodeId("Tags.Curve", 2)

    async def work(client, plant):
        session, value = client.uaclient, ua.DataValue(ua.Variant([9.0, 8.0, 7.0], ua.VariantType.Float))

        async def read(text):
            wanted = ua.ReadValueId(curve, ua.AttributeIds.Value, text)
            (found,) = await session.read(ua.ReadParameters(NodesToRead=[wanted]))
            return found.Value.Value if found.StatusCode.is_good() else found.StatusCode.name

        async def write(text):
            wanted = ua.WriteValue(curve, ua.AttributeIds.Value, text, value)
            return (await session.write(ua.WriteParameters(NodesToWrite=[wanted])))[0].name

        heard = Heard()
        subscription = await client.create_subscription(20, heard)
        item = ua.MonitoredItemCreateRequest(ua.ReadValueId(curve, ua.AttributeIds.Value, "3:9"))
        item.RequestedParameters = ua.MonitoringParameters(7, 20.0, None, 1, True)
        params = ua.CreateMonitoredItemsParameters(subscription.subscription_id, ItemsToCreate=[item])
        (made,) = await session.create_monitored_items(params)
        written = [await write(text) for text in ("2:4", "2:5", "8", "x")]
        return (
            made.StatusCode.name,
            written,
            [await read(text) for text in ("2:4", "7", "1:9", "8", "4:2")],
            await read(""),
        )

    plant = served[0]
    before = plant.tags.data
    made, written, parts, whole = asked(served, work)
    plant.tags.data = before
    assert (made, written) == ("Good", ["Good", "BadOutOfRange", "BadIndexRangeNoData", "BadIndexRangeInvalid"])
    assert parts[:2] == [[9.0, 8.0, 7.0], whole[7:]] and parts[3:] == ["BadIndexRangeNoData", "BadIndexRangeInvalid"]
    assert parts[2] == whole[1:] and whole[2:5] == [9.0, 8.0, 7.0] and len(whole) == 8


def test_what_there_is_not_is_refused_by_its_name(served):
    """History, adding nodes, transfers."""

    async def work(client, plant):
        session = client.uaclient
        return [
            await refusal(node(client, "Tags.Speed").read_raw_history()),
            await refusal(session.add_nodes([ua.AddNodesItem()])),
            await refusal(session.delete_nodes(ua.DeleteNodesParameters(NodesToDelete=[ua.DeleteNodesItem()]))),
        ]

    assert asked(served, work) == ["BadServiceUnsupported"] * 3


def test_the_standards_diagnostics_count_what_is_there(served):
    """Sessions and subscriptions, now and since the start; what was refused. Once a second."""
    summary = "Server_ServerDiagnostics_ServerDiagnosticsSummary"

    async def work(client, plant):
        async def counts():
            names = (
                "CurrentSessionCount",
                "CurrentSubscriptionCount",
                "CumulatedSubscriptionCount",
                "RejectedRequestsCount",
            )
            ids = [ua.NodeId(getattr(ua.ObjectIds, f"{summary}_{name}")) for name in names]
            return [await client.get_node(one).read_value() for one in ids]

        clock = client.get_node(ua.NodeId(ua.ObjectIds.Server_ServerStatus_CurrentTime))
        for _ in range(2):  # so that all was written once since this session began
            now = await clock.read_value()
            while await clock.read_value() == now:
                await asyncio.sleep(0.02)
        before = await counts()
        await client.create_subscription(100, Heard())
        await refusal(node(client, "Tags.Speed").read_raw_history())
        while sum(after := await counts()) < sum(before) + 3:
            await asyncio.sleep(0.02)
        whole = await client.get_node(ua.NodeId(getattr(ua.ObjectIds, summary))).read_value()
        flag = await client.get_node(ua.NodeId(ua.ObjectIds.Server_ServerDiagnostics_EnabledFlag)).read_value()
        return before, after, whole.CurrentSessionCount, flag

    before, after, sessions, flag = asked(served, work)
    assert flag and after[0] == sessions == 1
    assert [b - a for a, b in zip(before[1:], after[1:], strict=True)] == [1, 1, 1]


async def as_user(server, folder, certificate, key, mode=ENCRYPT):
    """Who a session is of, that begins with this certificate and this key; or the refusal."""
    made = Client("opc.tcp://{}:{}".format(*server.address), timeout=60)
    made.application_uri = "urn:test:client"
    peer = folder.parent / "server" / "own.der"
    await made.set_security(
        security_policies.SecurityPolicyBasic256Sha256, folder / "own.der", folder / "own.pem", None, peer, mode
    )
    await made.load_client_certificate(str(certificate))
    await made.load_private_key(str(key))
    try:
        async with made:
            return await refusal(node(made, "Tags.Count").write_value(5, ua.VariantType.Int32))
    except UaStatusCodeError as error:
        return type(error).__name__


def test_a_user_comes_with_a_certificate_instead_of_a_password(served, tmp_path):
    """Its common name is his; it must be trusted as a user's, and he must have its key. One of an application is none."""
    plant, server, folder = served
    users = Certificates(folder.parent / "server" / "users")
    for name in ("otto", "anna", "stranger"):
        make(tmp_path / name, f"urn:test:{name}", name, ("127.0.0.1",))
        if name != "stranger":
            users.trust(str(tmp_path / name / "own.der"))

    def come(whose, key=None, mode=ENCRYPT):
        return run(as_user(server, folder, tmp_path / whose / "own.der", tmp_path / (key or whose) / "own.pem", mode))

    plant.audit.clear()
    assert come("otto") == come("otto", mode=SIGN) == "Good", "an operator"
    assert come("anna") == "BadUserAccessDenied", "an observer"
    assert come("stranger") == "BadIdentityTokenRejected"
    assert come("otto", key="anna") == "BadUserSignatureInvalid"
    assert run(as_user(server, folder, folder / "own.der", folder / "own.pem")) == "BadIdentityTokenRejected"
    said = " | ".join(plant.refused())
    assert "user's certificate" in said and "his key is not proven" in said, said


def test_no_application_is_called_as_the_namespace_of_all_stations_is(tmp_path):
    """The server's list of namespaces has each once: the second would be missing, and every node with it."""
    folder = tmp_path / "opcua"
    make(folder, NAMESPACE, "press", ("127.0.0.1",))
    plant = Plant()

    async def begin():
        OpcUaServer(plant.database, plant.models, options(folder)).prepare()

    with pytest.raises(OSError, match="make one with another"):
        run(begin())
    assert OpcUaOptions().application_uri != NAMESPACE
