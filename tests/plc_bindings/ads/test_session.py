"""One client's requests, answered: as transcripts of bytes where the layout matters."""

import itertools
import struct
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldbus.ads.protocol import SYSTEM_PORT, Command, Error, Group
from plc_bindings.ads.groups import AREA, ATTRIBUTE, LOOKUP, PREDICT, PREDICT_REF
from plc_bindings.ads.symbols import text
from plc_bindings.security.access import Limits
from plc_bindings.status import CallStatus
from tests.plc_bindings.ads.plant import (
    CLIENT,
    CLIENT_PORT,
    SERVER,
    TASKS_AT,
    Plant,
    add_note,
    ask,
    handle,
    model,
    packet,
    read,
    read_write,
    split,
    write,
)

INPUTS = (np.arange(16, dtype=np.float32) - 8) / 8


@pytest.fixture
def plant():
    return Plant()


@pytest.fixture
def session(plant):
    return plant.session()


# --- packets ----------------------------------------------------------------------------------------------------------


def test_read_state_is_answered_byte_for_byte(session):
    """Both ends change places, the response bit is set, the invoke id comes back; RUN is 5."""
    request = (
        "000020000000" + SERVER.hex() + "5303" + CLIENT.hex() + "e880" + "0400" + "0400" + "00000000" * 2 + "2a000000"
    )
    answer = session.feed(bytes.fromhex(request))
    expected = (
        "000028000000" + CLIENT.hex() + "e880" + SERVER.hex() + "5303" + "0400" + "0500" + "08000000" + "00000000"
    )
    assert answer.hex() == expected + "2a000000" + "00000000" + "0500" + "0000"


def requests():
    """One of each kind."""
    return [
        packet(Command.DEVICE_INFO, invoke=1),
        packet(Command.READ_STATE, invoke=2),
        read(AREA, 0, 4, invoke=3),
        write(AREA, 0, struct.pack("<f", 2.5), invoke=4),
        read_write(Group.INFO_BY_NAME_EX, 0, 0xFFFF_FFFF, b"Tags.Curve\0", invoke=5),
        read(0x1234, 0, 4, invoke=6),
        packet(Command.READ, b"short", invoke=7),
        read(Group.SYSTEM_STATE, 0, 16, port=SYSTEM_PORT, invoke=8),
    ]


def test_however_the_stream_is_cut_the_answers_are_the_same():
    """Whole, byte by byte, all in one segment, and cut at every place."""
    stream = b"".join(requests())
    expected = b"".join([Plant().session().feed(request) for request in requests()])
    assert [invoke for _, _, invoke, _ in split(expected)] == list(range(1, 9))
    assert Plant().session().feed(stream) == expected
    drip = Plant().session()
    assert b"".join([drip.feed(stream[i : i + 1]) for i in range(len(stream))]) == expected
    for cut in range(0, len(stream), 7):
        halves = Plant().session()
        assert halves.feed(stream[:cut]) + halves.feed(stream[cut:]) == expected


def test_half_a_packet_waits_for_the_rest(session):
    request = read(AREA, 0, 4)
    assert session.feed(request[:-1]) == b""
    assert not session.is_closed
    assert len(split(session.feed(request[-1:]))) == 1


def test_a_packet_that_comes_byte_by_byte_costs_no_more_the_longer_it_is():
    """What has come is not gone through again with each byte."""

    def drip(come):
        session = Plant().session()
        session.feed(struct.pack("<HI", 0, 1 << 20) + bytes(come))
        begin = time.perf_counter()
        for _ in range(5000):
            session.feed(b"\0")
        return time.perf_counter() - begin

    short, long = (min(drip(come) for _ in range(3)) for come in (10, 1_000_000))
    assert long < 10 * short


def test_many_packets_at_once_are_answered_in_turns(session):
    """So that one client's heap of requests does not keep the others waiting."""
    stream = b"".join([read(AREA, 0, 4, invoke=i) for i in range(100)])
    answers = [session.feed(stream)]
    while session.has_more:
        answers.append(session.feed(b""))
    assert len(answers) == 4
    assert [invoke for _, _, invoke, _ in split(b"".join(answers))] == list(range(100))


def test_a_turn_ends_after_a_millisecond(plant):
    """When each packet takes 0.4 ms: the first, whose end begins the count, and three more."""
    clock = itertools.count(0.0, 0.0004)
    session = plant.session(lambda: next(clock))
    stream = b"".join([read(AREA, 0, 4, invoke=i) for i in range(9)])
    answers = [session.feed(stream)]
    while session.has_more:
        answers.append(session.feed(b""))
    assert [len(split(answer)) for answer in answers] == [3, 3, 3]


@pytest.mark.parametrize(
    ("start", "why"),
    [
        (struct.pack("<HI", 0, 31), "shorter than an AMS header"),
        (struct.pack("<HI", 0, 0xFFFF_FFFF), "longer than any request may be"),
        (struct.pack("<HI", 7, 32), "no AMS/TCP command"),
        (b"GET / HTTP/1.1\r\n\r\n", "another protocol"),
    ],
)
def test_what_cannot_be_a_packet_ends_the_connection(plant, session, start, why):
    assert session.feed(start) == b""
    assert session.is_closed
    assert plant.audit[-1][2] == "disconnected"
    assert session.feed(read(AREA, 0, 4)) == b""


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (packet(Command.READ_STATE, target=bytes(6)), Error.NO_MACHINE),
        (packet(Command.READ_STATE, port=852), Error.NO_PORT),
        (packet(77), Error.NO_COMMAND),
        (packet(0), Error.NO_COMMAND),
        (packet(Command.READ_STATE, flags=0), Error.NO_COMMAND),
        (packet(Command.WRITE, port=SYSTEM_PORT), Error.NO_COMMAND),
        (packet(Command.READ, bytes(12), size=11), Error.BAD_LENGTH),
        (packet(Command.READ, bytes(11)), Error.BAD_SIZE),
        (packet(Command.READ, bytes(13)), Error.BAD_SIZE),
        (packet(Command.READ_WRITE, bytes(15)), Error.BAD_SIZE),
        (packet(Command.WRITE, struct.pack("<III", AREA, 0, 5) + bytes(4)), Error.BAD_SIZE),
        (packet(Command.READ_WRITE, struct.pack("<IIII", Group.SUM_READ, 1, 8, 13) + bytes(12)), Error.BAD_SIZE),
        (packet(Command.ADD_NOTIFICATION, bytes(39)), Error.BAD_SIZE),
        (packet(Command.DELETE_NOTIFICATION, struct.pack("<I", 3)), Error.NO_NOTIFICATION),
        (read(0x4020, 0, 4), Error.NO_GROUP),
        (read(AREA + 2, 0, 4), Error.NO_GROUP),
        (read(0xFFFF_FFFF, 0, 4), Error.NO_GROUP),
        (read(AREA, 1000, 4), Error.BAD_OFFSET),
        (read(AREA, 0xFFFF_FFFF, 4), Error.BAD_OFFSET),
        (read(Group.VALUE_BY_HANDLE, 5, 4), Error.BAD_OFFSET),
        (write(Group.RELEASE_HANDLE, 0, struct.pack("<I", 5)), Error.BAD_OFFSET),
        (write(AREA, 0, bytes(1000)), Error.BAD_SIZE),
        (write(TASKS_AT, 0, bytes(4)), Error.NOT_PERMITTED),
        (write(AREA, 8, b"name"), Error.NOT_PERMITTED),
        (write(AREA, 0, bytes(12)), Error.NOT_PERMITTED),
        (read_write(0x4020, 0, 4, b""), Error.NO_GROUP),
        (read_write(Group.HANDLE_BY_NAME, 0, 4, b"Tags.Other\0"), Error.NO_SYMBOL),
        (read_write(Group.HANDLE_BY_NAME, 0, 4, b""), Error.NO_SYMBOL),
        (read_write(Group.HANDLE_BY_NAME, 0, 4, b"\xff\xfe"), Error.NO_SYMBOL),
        (read_write(Group.HANDLE_BY_NAME, 0, 3, b"Tags.Count"), Error.BAD_SIZE),
        (read_write(Group.TYPE_BY_NAME_EX, 0, 99, b"ST_Other"), Error.NO_SYMBOL),
        (read_write(Group.SUM_READ, 2**31, 2**32 - 1, b""), Error.BAD_SIZE),
        (read_write(Group.SUM_READ, 2, 2**32 - 1, struct.pack("<III", AREA, 0, 2**32 - 1) * 2), Error.BAD_SIZE),
        (read_write(Group.SUM_WRITE, 1, 4, struct.pack("<III", AREA, 0, 2**32 - 1)), Error.BAD_SIZE),
        (packet(Command.WRITE_CONTROL, struct.pack("<HHI", 6, 0, 0)), Error.NOT_PERMITTED),
        (add_note(AREA, 0, 4, mode=1), Error.NO_MODE),
        (add_note(0x4020, 0, 4), Error.NO_GROUP),
    ],
    ids=itertools.count(),
)
def test_what_cannot_be_done_is_refused_with_its_code_and_changes_nothing(plant, session, request_, code):
    before = plant.tags.data
    assert ask(session, request_)[0] == code
    assert plant.tags.data == before
    assert not plant.tags.writes
    assert ask(session, read(AREA, 0, 4)) == (0, before[:4])


def test_a_mistake_of_ours_is_an_error_code_and_nothing_else(plant, session, caplog):
    plant.tags.fails = True
    assert ask(session, read(AREA, 0, 4))[0] == Error.INTERNAL
    assert "a mistake" in caplog.text
    assert ask(session, read(TASKS_AT, 0, 4)) == (0, plant.task.data[:4])


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=90)))
def test_whatever_bytes_come_the_session_answers_or_ends(chunks):
    session = Plant().session()
    for chunk in chunks:
        split(session.feed(chunk))


words = st.one_of(
    st.sampled_from([0, 1, 4, 8, AREA, TASKS_AT, PREDICT, PREDICT_REF, LOOKUP, *Group]), st.integers(0, 2**32 - 1)
)


@given(
    st.lists(st.tuples(st.sampled_from(list(Command)), st.lists(words, max_size=12), st.binary(max_size=9)), max_size=8)
)
def test_whatever_a_request_says_it_gets_one_answer(asked):
    """Well-formed headers, any groups, offsets, lengths and items."""
    session = Plant().session()
    for invoke, (command, numbers, tail) in enumerate(asked):
        stream = session.feed(packet(command, struct.pack(f"<{len(numbers)}I", *numbers) + tail, invoke=invoke))
        while session.job is not None:
            stream += session.resume(session.job())
        assert [found[2] for found in split(stream)] == [invoke]
        session.tick(1e12)


def test_a_port_is_given_to_clients_without_a_router(session):
    """AMS/TCP command 0x1000: a NetId and a port to ask from."""
    answer = session.feed(struct.pack("<HIH", 0x1000, 2, 0))
    command, length = struct.unpack_from("<HI", answer)
    assert (command, length, answer[6:12]) == (0x1000, 8, SERVER)
    assert struct.unpack_from("<H", answer, 12)[0] >= 32768
    session.feed(struct.pack("<HIH", 1, 2, 0))
    assert session.is_closed


def test_an_ams_net_id_that_is_not_allowed_is_refused():
    plant = Plant(net_ids=("127.0.0.1.9.9",))
    session = plant.session()
    assert ask(session, packet(Command.READ_STATE))[0] == 0
    stranger = packet(Command.READ_STATE, source=bytes((1, 2, 3, 4, 5, 6)))
    assert struct.unpack_from("<I", session.feed(stranger), 30)[0] == Error.NO_ACCESS
    assert "1.2.3.4.5.6" in plant.audit[-1][0]


def test_too_many_requests_a_second_are_refused(monkeypatch):
    now = time.monotonic()
    monkeypatch.setattr("plc_bindings.security.access.time.monotonic", lambda: now)
    session = Plant(Limits(requests_per_second=3)).session()
    codes = [ask(session, read(AREA, 0, 4))[0] for _ in range(5)]
    assert codes[:3] == [0, 0, 0]
    assert codes[4] == Error.BUSY


@pytest.mark.parametrize(("group", "each", "answered"), [(Group.SUM_READ, 12, 3), (Group.SUM_READ_WRITE, 16, 1)])
def test_items_count_as_requests(monkeypatch, group, each, answered):
    """400 in one sum command, of 200 requests a second: 5 reads as one, each read-write as one."""
    session, now = Plant(Limits(requests_per_second=200)).session(), time.monotonic()
    monkeypatch.setattr("plc_bindings.security.access.time.monotonic", lambda: now)
    request = read_write(group, 400, 4000, bytes(each * 400))
    codes = [ask(session, request)[0] for _ in range(4)]
    assert codes == [0] * answered + [Error.BUSY] * (4 - answered)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("tail", [b".", b"[0]", b"\xff"])
def test_a_name_of_a_million_characters_costs_nothing(plant, session, tail):
    """It is longer than any name. Nor does it where one may be as long as it likes."""
    name = b"Tags.Curve" + tail * 300_000
    for group in (Group.HANDLE_BY_NAME, Group.INFO_BY_NAME_EX, Group.TYPE_BY_NAME_EX):
        assert ask(session, read_write(group, 0, 4, name))[0] == Error.NO_SYMBOL
    assert plant.database.find(name.decode(errors="replace")) is None
    assert text(b"x" * 512) == "x" * 512
    assert text(b"x" * 513) == ""


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [b"Tags.Count", b"Tags.Count\0", b"tags.COUNT\0\0\0"])
def test_names_come_with_nul_or_without_and_in_any_case(session, name):
    assert ask(session, read_write(Group.VALUE_BY_NAME, 0, 4, name)) == (0, struct.pack("<i", -7))


def test_a_handle_reads_and_writes_until_it_is_released(plant, session):
    number = handle(session, "Tags.Count")
    assert ask(session, write(Group.VALUE_BY_HANDLE, number, struct.pack("<i", 12))) == (0, b"")
    assert ask(session, read(Group.VALUE_BY_HANDLE, number, 4)) == (0, struct.pack("<i", 12))
    assert ask(session, write(Group.RELEASE_HANDLE, 0, struct.pack("<I", number))) == (0, b"")
    assert ask(session, read(Group.VALUE_BY_HANDLE, number, 4))[0] == Error.BAD_OFFSET


def test_a_handle_with_its_size_and_type(session):
    """What clients get that ask for more than four bytes."""
    code, data = ask(session, read_write(Group.HANDLE_BY_NAME, 0, 0xFFFF_FFFF, b"Tags.Curve"))
    number, size, _, length = struct.unpack_from("<IIIH", data)
    assert (code, size, data[14 : 14 + length]) == (0, 32, b"ARRAY [0..7] OF REAL")
    assert ask(session, read(Group.VALUE_BY_HANDLE, number, 4)) == (0, struct.pack("<f", 0))


def test_an_element_of_a_structure_has_a_name_of_its_own(session):
    assert ask(session, read_write(Group.VALUE_BY_NAME, 0, 8, b"Tasks.axis.WakeUp.P50")) == (0, struct.pack("<d", 27.5))
    assert ask(session, read_write(Group.VALUE_BY_NAME, 0, 4, b"Tags.Curve[3]")) == (0, struct.pack("<f", 3))


@pytest.mark.parametrize("size", [32, 255, 0xFFFF_FFFF])
def test_a_read_longer_than_the_symbol_gets_a_short_answer(session, size):
    number = handle(session, "Tags.Name")
    assert ask(session, read(Group.VALUE_BY_HANDLE, number, size)) == (0, b"belt".ljust(32, b"\0"))


def test_a_handle_does_not_write_beyond_its_symbol(plant, session):
    number = handle(session, "Tags.SetPoint")
    assert ask(session, write(Group.VALUE_BY_HANDLE, number, bytes(8)))[0] == Error.BAD_SIZE


def test_a_refused_write_is_in_the_audit_log(plant, session):
    ask(session, write(TASKS_AT, 0, bytes(4)))
    assert "Tasks.axis" in plant.audit[-1][1]


# --- sum commands -----------------------------------------------------------------------------------------------------


def test_a_sum_read_sees_one_moment_and_says_what_failed(plant, session):
    items = struct.pack("<9I", AREA, 0, 4, 0x4020, 0, 2, AREA, 4, 4)
    code, data = ask(session, read_write(Group.SUM_READ, 3, 12 + 10, items))
    assert code == 0
    assert struct.unpack_from("<3I", data) == (0, Error.NO_GROUP, 0)
    assert data[12:] == plant.tags.data[:4] + b"\0\0" + plant.tags.data[4:8]
    assert plant.tags.reads == 1


def test_a_sum_read_with_lengths(plant, session):
    items = struct.pack("<6I", AREA, 8, 255, 0x4020, 0, 2)
    code, data = ask(session, read_write(Group.SUM_READ_EX_2, 2, 2**32 - 1, items))
    assert (code, struct.unpack_from("<4I", data)) == (0, (0, 64, Error.NO_GROUP, 0))
    assert data[16:] == plant.tags.data[8:]


def test_a_sum_write_takes_effect_at_once(plant, session):
    items = struct.pack("<9I", AREA, 0, 4, TASKS_AT, 0, 4, AREA, 4, 4) + struct.pack("<fIi", 9.5, 1, 77)
    code, data = ask(session, read_write(Group.SUM_WRITE, 3, 12, items))
    assert (code, struct.unpack("<3I", data)) == (0, (0, Error.NOT_PERMITTED, 0))
    assert plant.tags.data[:8] == struct.pack("<fi", 9.5, 77)
    assert plant.tags.writes == 1


def test_a_sum_of_handles_and_releases(session):
    names = [b"Tags.Count\0", b"Tags.No\0"]
    heads = b"".join([struct.pack("<IIII", Group.HANDLE_BY_NAME, 0, 4, len(name)) for name in names])
    code, data = ask(session, read_write(Group.SUM_READ_WRITE, 2, 20, heads + b"".join(names)))
    assert (code, struct.unpack_from("<4I", data)) == (0, (0, 4, Error.NO_SYMBOL, 0))
    (number,) = struct.unpack("<I", data[16:])
    release = struct.pack("<III", Group.RELEASE_HANDLE, 0, 4) + struct.pack("<I", number)
    assert ask(session, read_write(Group.SUM_WRITE, 1, 4, release)) == (0, bytes(4))
    assert ask(session, read(Group.VALUE_BY_HANDLE, number, 4))[0] == Error.BAD_OFFSET


@pytest.mark.parametrize("group", [Group.SUM_READ, PREDICT, PREDICT_REF])
def test_what_may_take_long_is_no_item_of_a_sum(session, group):
    items = struct.pack("<IIII", group, 1, 24, 64) + bytes(64)
    code, data = ask(session, read_write(Group.SUM_READ_WRITE, 1, 99, items))
    assert (code, struct.unpack("<II", data)) == (0, (Error.NO_SERVICE, 0))


def test_a_sum_cannot_make_an_answer_larger_than_a_frame_may_be():
    """500 times the symbol table, for example."""
    session = Plant(Limits(frame_bytes=8192)).session()
    items = struct.pack("<III", Group.UPLOAD, 0, 2**32 - 1) * 500
    assert ask(session, read_write(Group.SUM_READ_EX, 500, 2**32 - 1, items))[0] == Error.BAD_SIZE


# --- models -----------------------------------------------------------------------------------------------------------


def outputs(x):
    (y,) = model().run({"x": x.reshape(1, 16)})
    return y.tobytes()


@pytest.mark.parametrize(("group", "offset", "head"), [(PREDICT, 1, b""), (PREDICT_REF, 0, b"Policy".ljust(64, b"\0"))])
def test_predict_is_one_read_write(session, group, offset, head):
    request = read_write(group, offset, 24, head + INPUTS.tobytes())
    for _ in range(2):  # the first in a thread, since nobody knows how long the model takes
        assert ask(session, request) == (0, struct.pack("<II", 0, 1) + outputs(INPUTS))


def test_several_sets_of_inputs_in_one_call(session):
    code, data = ask(session, read_write(PREDICT, 1, 999, INPUTS.tobytes() + (INPUTS * 2).tobytes()))
    assert (code, data[8:]) == (0, outputs(INPUTS) + outputs(INPUTS * 2))


@pytest.mark.parametrize(
    ("offset", "data", "status"),
    [
        (2, INPUTS.tobytes(), CallStatus.UNKNOWN_MODEL),
        (0, INPUTS.tobytes(), CallStatus.UNKNOWN_MODEL),
        (1, INPUTS.tobytes()[:-1], CallStatus.WRONG_SIZE),
        (1, b"", CallStatus.WRONG_SIZE),
        (1, INPUTS.tobytes() * 257, CallStatus.TOO_MANY),
    ],
)
def test_a_call_that_cannot_be_made_says_why_in_its_status(session, offset, data, status):
    code, answer = ask(session, read_write(PREDICT, offset, 2**32 - 1, data))
    assert (code, struct.unpack_from("<I", answer)[0], len(answer)) == (0, status, 8)


def test_nothing_is_computed_for_a_client_that_asks_for_fewer_bytes_than_it_gets(session):
    assert ask(session, read_write(PREDICT, 1, 23, INPUTS.tobytes()))[0] == Error.BAD_SIZE


def test_an_answer_too_large_for_a_frame_is_refused_before_it_is_computed():
    session = Plant(Limits(frame_bytes=1000)).session()
    session.most_bytes = 1 << 20  # of the request
    for sets, status in ((62, CallStatus.OK), (63, CallStatus.TOO_MANY)):
        code, answer = ask(session, read_write(PREDICT, 1, 2**32 - 1, INPUTS.tobytes() * sets))
        assert (code, struct.unpack_from("<I", answer)[0]) == (0, status)


def test_what_comes_while_a_model_runs_is_answered_after_it_in_order(session):
    stream = read_write(PREDICT, 1, 24, INPUTS.tobytes(), invoke=1) + read(AREA, 0, 4, invoke=2)
    assert session.feed(stream) == b""
    assert session.job is not None
    assert session.feed(read(AREA, 4, 4, invoke=3)) == b""
    assert [invoke for _, _, invoke, _ in split(session.resume(session.job()))] == [1, 2, 3]


def test_a_job_that_fails_is_an_error_code(session):
    session.feed(read_write(PREDICT, 1, 24, INPUTS.tobytes()))
    ((_, _, _, data),) = split(session.resume(RuntimeError("a mistake")))
    assert struct.unpack("<II", data) == (Error.INTERNAL, 0)


def test_a_model_is_measured_anew_after_an_update(plant, session):
    call = read_write(PREDICT, 1, 24, INPUTS.tobytes())
    ask(session, call)
    ask(session, call)
    plant.slot.update(model())
    session.feed(call)
    assert session.job is not None
    ((_, _, _, data),) = split(session.resume(session.job()))
    assert struct.unpack_from("<II", data, 8) == (0, 2)


def test_a_fast_model_is_called_at_once(session):
    """Without a thread, which costs more than the call."""
    call = read_write(PREDICT, 1, 24, INPUTS.tobytes())
    for _ in range(50):  # one that is interrupted makes the next a slow one
        session.feed(call)
        if session.job is None:
            return
        session.resume(session.job())
    pytest.fail("every call needs a thread")


def test_a_slow_model_runs_in_a_thread(plant, session):
    ask(session, read_write(PREDICT, 1, 24, INPUTS.tobytes()))
    plant.device.paces.note(1, 1, 0.1)
    session.feed(read_write(PREDICT, 1, 24, INPUTS.tobytes()))
    assert session.job is not None


def test_lookup_says_number_interface_version_and_sizes(plant, session):
    hash_ = plant.models.all[0].signature.hash
    assert ask(session, read_write(LOOKUP, 0, 24, b"policy\0")) == (0, struct.pack("<6I", 0, 1, hash_, 1, 64, 16))
    code, data = ask(session, read_write(LOOKUP, 0, 24, b"other\0"))
    assert (code, struct.unpack_from("<I", data)[0]) == (0, CallStatus.UNKNOWN_MODEL)


def test_attributes():
    session = Plant(attributes=lambda name: {"trained": f"{name} 2026"}).session()
    assert ask(session, read_write(ATTRIBUTE, 1, 99, b"trained\0")) == (0, bytes(4) + b"policy 2026\0")
    assert ask(session, read_write(ATTRIBUTE, 1, 9, b"trained\0")) == (0, bytes(4) + b"poli\0")
    assert ask(session, read_write(ATTRIBUTE, 1, 99, b"other\0")) == (
        0,
        struct.pack("<I", CallStatus.UNKNOWN_ATTRIBUTE),
    )
    assert ask(session, read_write(ATTRIBUTE, 9, 99, b"other\0")) == (0, struct.pack("<I", CallStatus.UNKNOWN_MODEL))


def test_clients_do_not_share_a_source_port_by_mistake(session):
    """Two programs behind one router: notifications go to the one that asked."""
    ask(session, add_note(AREA, 0, 4))
    other = packet(Command.DELETE_NOTIFICATION, struct.pack("<I", 1), source_port=CLIENT_PORT + 1)
    assert ask(session, other)[0] == Error.NO_NOTIFICATION
    assert ask(session, packet(Command.DELETE_NOTIFICATION, struct.pack("<I", 1)))[0] == 0
