"""Looking symbols up: in chunks, with progress, going on after a cut, and what does not fit."""

import time
from collections.abc import Iterator

import pytest

from fieldbus.ads.client import AdsClient
from fieldbus.ads.lookup import Lookup, Wanted, stopwatch
from fieldbus.ads.protocol import Group
from fieldbus.errors import ConnectionLostError, NoAnswerError, RefusedError
from tests.fieldbus.ads.ads_plc import CUT, READ_WRITE, SILENT, SUM_READ_WRITE, AdsPlc, Symbol
from tests.waiting import wait_for

COUNT = 1_203
NS = 1_000_000_000


@pytest.fixture
def plc() -> Iterator[AdsPlc]:
    """A PLC with many REALs."""
    with AdsPlc([Symbol(f"GVL.x{i}", "REAL") for i in range(COUNT)]) as controller:
        yield controller


@pytest.fixture
def client(plc: AdsPlc) -> Iterator[AdsClient]:
    """Connected."""
    client = AdsClient(f"{plc.host}.1.1", 851, plc.host)
    client.dial(soon())
    yield client
    client.close()


def soon() -> int:
    return time.monotonic_ns() + 10 * NS


def lookup(count: int = COUNT) -> Lookup:
    return Lookup([Wanted(f"GVL.x{i}", 4) for i in range(count)])


def test_many_symbols_are_a_few_requests(plc: AdsPlc, client: AdsClient):
    """At most 500 questions in each, two for a symbol; all get the handle of their own name; progress is told."""
    told: list[tuple[int, int]] = []
    items = lookup().run(client, b"\1", True, soon, lambda done, total: told.append((done, total)))
    assert [plc.handles[item.offset] for item in items] == [f"GVL.x{i}" for i in range(COUNT)]
    assert {(item.group, item.nbytes) for item in items} == {(Group.VALUE_BY_HANDLE, 4)}
    assert plc.asked == [(READ_WRITE, SUM_READ_WRITE, n) for n in (2, 500, 500, 500, 500, 404)]
    assert told == [(n, COUNT) for n in (0, 1, 251, 501, 751, 1001, COUNT)]


def test_a_cut_in_between_goes_on(plc: AdsPlc, client: AdsClient):
    """What was checked is not asked for again; handles are got anew, since they are the connection's."""
    looking = lookup()
    plc.faults.cut_after = 3
    with pytest.raises(ConnectionLostError):
        looking.run(client, b"\1", True, soon)
    client.close()
    client.dial(soon())
    del plc.asked[:]
    items = looking.run(client, b"\1", True, soon)
    assert [plc.handles[item.offset] for item in items] == [f"GVL.x{i}" for i in range(COUNT)]
    asked = sum(count for _, _, count in plc.asked)
    assert asked == 2 * COUNT - 501


def test_after_another_version_nothing_is_kept(plc: AdsPlc, client: AdsClient):
    """A download in between: sizes may have changed, all are checked again."""
    looking = lookup(400)
    looking.run(client, b"\1", True, soon)
    plc.online_change([Symbol(f"GVL.x{i}", "REAL" if i else "LREAL") for i in range(400)])
    with pytest.raises(RefusedError, match=r"symbol 'GVL\.x0' is LREAL of 8 bytes, but its tag needs 4"):
        looking.run(client, b"\2", True, soon)


@pytest.mark.parametrize("has_sums", [True, False])
def test_symbols_that_do_not_fit_are_named(client: AdsClient, has_sums: bool):
    """The first three, and how many more."""
    wanted = [Wanted(f"GVL.x{i}", 4) for i in range(10)] + [Wanted(f"GVL.no{i}", 4) for i in range(5)]
    with pytest.raises(RefusedError) as caught:
        Lookup(wanted).run(client, b"\1", has_sums, soon)
    words = "; ".join(f"GVL.no{i}: ADS error 0x710, symbol not found" for i in range(3))
    assert str(caught.value) == f"{words}; and 2 more"


@pytest.mark.parametrize("knows", [True, False])
def test_without_sums_each_symbol_is_two_requests(plc: AdsPlc, client: AdsClient, knows: bool):
    """Known beforehand, or found out with the first request."""
    plc.faults.no_sums = (SUM_READ_WRITE,)
    items = lookup(7).run(client, b"\1", not knows, soon)
    assert [plc.handles[item.offset] for item in items] == [f"GVL.x{i}" for i in range(7)]
    assert len(plc.asked) == 14 + (not knows)


@pytest.mark.parametrize("answers", [SILENT, CUT], ids=["silent", "hangs up"])
def test_a_device_that_falls_silent_is_asked_singly_then(plc: AdsPlc, client: AdsClient, answers: str):
    """Not every device says that it has no such command; what is found then stays so for later connections."""
    plc.faults.no_sums, plc.faults.no_sums_is = (SUM_READ_WRITE,), answers
    looking = lookup(3)
    for _ in range(2):
        with pytest.raises((NoAnswerError, ConnectionLostError)):
            looking.run(client, b"\1", True, lambda: time.monotonic_ns() + NS // 10)
        client.close()
        client.dial(soon())
    for _ in range(2):
        client.close()
        client.dial(soon())
        assert len(looking.run(client, b"\1", True, soon)) == 3


def test_silence_of_a_device_that_is_off_does_not_end_sums(plc: AdsPlc, client: AdsClient):
    """Single questions were not answered either: the next time, sums are tried again."""
    looking = lookup(3)
    plc.faults.silent = True
    for _ in range(3):
        with pytest.raises(NoAnswerError):
            looking.run(client, b"\1", True, lambda: time.monotonic_ns() + NS // 10)
    client.close()
    wait_for(lambda: plc.is_idle)
    plc.faults.silent = False
    client.dial(soon())
    looking.run(client, b"\1", True, soon)
    assert {group for _, group, _ in plc.asked} == {SUM_READ_WRITE}


def test_each_answer_has_its_own_time_until_the_end_comes():
    """Many symbols take longer than one answer may; whoever stops gets no more than the time that was given."""
    stopping: list[bool] = []
    deadline_ns = soon()
    answer_by = stopwatch(deadline_ns, lambda: bool(stopping))
    time.sleep(0.002)
    assert answer_by() > deadline_ns
    stopping.append(True)
    assert answer_by() == deadline_ns
