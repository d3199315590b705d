"""A model's new version as a temporary file: what is taken, what is refused, who may."""

import asyncio
from types import SimpleNamespace

import pytest
from asyncua import ua
from asyncua.ua.uaerrors import UaStatusCodeError

from plc_bindings.opcua.files import FileError, Transfers
from plc_bindings.security.signing import sign
from tests.plc_bindings.opcua.plant import Plant, connected, node, options, serving
from tests.plc_bindings.security.test_updates import MODEL
from tests.plc_bindings.security.test_updates import Plant as Store
from tests.waiting import wait_for


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def done(transfers, model="policy"):
    """What a transfer ended with."""
    wait_for(lambda: transfers.shown(model)[0] != "ApplyWrite")
    return transfers.shown(model)


def refused(work, *arguments):
    with pytest.raises(FileError) as caught:
        work(*arguments)
    return caught.value.code


def test_a_signed_file_in_pieces_is_taken(store):
    """Then it is idle, and says which version it became."""
    transfers = Transfers(store.updates)
    transfer = transfers.client("ines")
    handle = transfer.begin("policy", sign(store.key, "policy", MODEL))
    for at in range(0, len(MODEL), 3000):
        assert transfer.position("policy", handle) == at
        transfer.write("policy", handle, MODEL[at : at + 3000])
    transfer.activate("policy", handle)
    assert done(transfers) == ("Idle", 0, "version 2: live as version 2")
    assert store.taken == [("policy", MODEL, "ines")]


def test_a_signature_of_nobody_changes_nothing(store):
    transfers = Transfers(store.updates)
    transfer, before = transfers.client("ines"), store.state()
    handle = transfer.begin("policy", bytes(72))
    transfer.write("policy", handle, MODEL)
    transfer.activate("policy", handle)
    state, status, words = done(transfers)
    assert (state, status) == ("Error", 209) and "matches no key" in words
    assert store.state() == before


def test_what_is_no_signature_no_handle_or_nothing_is_refused(store):
    transfer = Transfers(store.updates).client("ines")
    signature = sign(store.key, "policy", MODEL)
    assert refused(transfer.begin, "policy", "a text") == ua.StatusCodes.BadInvalidArgument
    assert refused(transfer.begin, "policy", b"short") == ua.StatusCodes.BadInvalidArgument
    assert refused(transfer.begin, "nothing", signature) == ua.StatusCodes.BadUserAccessDenied
    handle = transfer.begin("policy", signature)
    assert refused(transfer.write, "policy", handle + 1, b"x") == ua.StatusCodes.BadInvalidArgument
    assert refused(transfer.write, "other", handle, b"x") == ua.StatusCodes.BadInvalidArgument
    assert refused(transfer.activate, "policy", handle) == ua.StatusCodes.BadInvalidState, "there is nothing in it"


def test_what_was_committed_is_taken_though_its_client_has_gone(store, monkeypatch):
    """Or begins another file, before the thread that takes it has begun."""
    from plc_bindings.opcua import files

    waiting = []
    late = SimpleNamespace(start=lambda: None)
    monkeypatch.setattr(files.threading, "Thread", lambda target, **_: waiting.append(target) or late)
    transfers = Transfers(store.updates)
    transfer, signature = transfers.client("ines"), sign(store.key, "policy", MODEL)
    handle = transfer.begin("policy", signature)
    assert refused(transfer.activate, "policy", handle) == ua.StatusCodes.BadInvalidState, "there is nothing in it yet"
    transfer.write("policy", handle, MODEL)
    transfer.activate("policy", handle)
    assert refused(transfer.begin, "policy", signature) == ua.StatusCodes.BadResourceUnavailable
    transfer.abort()
    waiting[0]()
    assert done(transfers) == ("Idle", 0, "version 2: live as version 2")
    assert transfer.begin("policy", signature)


def test_another_waits_while_one_is_uploading_and_a_file_has_a_limit(store):
    """100,000 bytes here; who closes makes room."""
    transfers = Transfers(store.updates)
    signature = sign(store.key, "policy", MODEL)
    one, other = transfers.client("one"), transfers.client("other")
    handle = one.begin("policy", signature)
    assert refused(other.begin, "policy", signature) == ua.StatusCodes.BadResourceUnavailable
    assert refused(one.write, "policy", handle, bytes(100_001)) == ua.StatusCodes.BadInvalidState
    one.close("policy", handle)
    assert other.begin("policy", signature)


def test_through_a_client(store, folders):
    """The whole way of OPC 10000-20, by an engineer; an operator may not begin."""
    plant = Plant()

    async def upload(client):
        update = node(client, "Models.policy.Update")
        signature = ua.Variant(sign(store.key, "policy", MODEL), ua.VariantType.ByteString)
        file, handle = await update.call_method("0:GenerateFileForWrite", signature)
        number = ua.Variant(handle, ua.VariantType.UInt32)
        for at in range(0, len(MODEL), 4000):
            await client.get_node(file).call_method(
                "0:Write", number, ua.Variant(MODEL[at : at + 4000], ua.VariantType.ByteString)
            )
        machine = await update.call_method("0:CloseAndCommit", number)
        state = await client.get_node(machine).get_child("0:CurrentState")
        while (await state.read_value()).Text == "ApplyWrite":
            await asyncio.sleep(0.02)
        return [
            await node(client, f"Models.policy.Update.Transfer/{name}").read_value() for name in ("Status", "Message")
        ]

    async def work(server):
        async with connected(server, "ines", folders[1]) as client:
            came = await upload(client)
        async with connected(server, "otto", folders[1]) as client:
            try:
                await upload(client)
            except UaStatusCodeError as error:
                return came, type(error).__name__
        return came, "let in"

    with serving(plant, options(folders[0]), uploads=store.updates) as server:
        came, refusal = asyncio.run(work(server))
    assert came == [0, "version 2: live as version 2"]
    assert store.taken == [("policy", MODEL, "127.0.0.1 ines")]
    assert refusal == "BadUserAccessDenied" and plant.refused() == [
        "call of Models.policy.Update.GenerateFileForWrite: refused: not allowed"
    ]
