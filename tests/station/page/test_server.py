"""The page's server: where it listens, in which thread, with whose certificates, and how it ends."""

import asyncio
import http.client
import os
import ssl
import threading
import time

import pytest

from plc_bindings.security.access import Access
from plc_bindings.web.apart import STOP_S, Place
from station.page import server as module
from station.page.server import PageOptions, PageServer
from tests.plc_bindings.modbus.test_tls import Authority
from tests.station.page.fakes import FakeSource, served
from tests.waiting import wait_for

ENDS_S = 20.0
"""Far longer than its thread takes on a busy machine, and far shorter than a server waits for clients that never go."""


def thread_of(page):
    """Its number for the system."""
    return page.server._thread.native_id


def page_threads():
    return [thread for thread in threading.enumerate() if thread.name == "page"]


def test_it_gives_way_to_everything_else():
    """Its thread is nicer than the others of the process, and so is what it starts."""
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    with served() as page:
        assert os.getpriority(os.PRIO_PROCESS, thread_of(page)) == module.NICE
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


def test_it_stays_away_from_the_processors_of_tasks():
    source, here = FakeSource(), sorted(os.sched_getaffinity(0))
    source.avoid = frozenset(here[1:])
    with served(source) as page:
        assert os.sched_getaffinity(thread_of(page)) == {here[0]}
    source.avoid = frozenset(here)
    with served(source) as page:  # there is no other: then anywhere
        assert os.sched_getaffinity(thread_of(page)) == set(here)


def test_it_ends_soon_whatever_clients_do():
    with served() as page:
        clients = [http.client.HTTPConnection("127.0.0.1", page.port) for _ in range(5)]
        for client in clients:
            client.request("GET", "/api/stream")
        wait_for(lambda: page.server.viewers == 5)
        begin = time.monotonic()
    assert time.monotonic() - begin < 2 * STOP_S + 1
    wait_for(lambda: not page_threads(), ENDS_S)
    for client in clients:
        client.close()


def test_a_port_that_is_taken_is_an_os_error():
    """The servers' side says which server it is, and what helps."""
    with served() as page:
        another = PageServer(PageOptions(Place(port=page.port)), FakeSource(), Access())
        with pytest.raises(OSError, match="in use"):
            asyncio.run(another.start())


def test_its_status_is_where_a_browser_finds_it_and_what_was_asked(page):
    page.ask("/api/status")
    status = page.server.status()
    assert status.address == f"web http://127.0.0.1:{page.port}/"
    assert (status.requests, status.refused) == (1, 0)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def asked(port, authority, client=None, path="/api/session"):
    context = ssl.create_default_context(cafile=authority.file)
    context.check_hostname = False
    if client is not None:
        context.load_cert_chain(*client[:2])
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def test_with_a_certificate_it_speaks_tls(authority):
    """And its cookie goes nowhere unencrypted."""
    certificate, key, _ = authority.issue("page")
    from tests.station.page.fakes import ANNA, TOKENS

    with served(tls={"certificate": str(certificate), "key": str(key)}, tokens=TOKENS) as page:
        assert asked(page.port, authority, path="/login")[0] == 200
        assert page.server.status().address.startswith("web https://")
        context = ssl.create_default_context(cafile=authority.file)
        context.check_hostname = False
        connection = http.client.HTTPSConnection("127.0.0.1", page.port, context=context, timeout=10)
        connection.request("POST", "/login", f'{{"token": "{ANNA}"}}', {"Content-Type": "application/json"})
        assert "Secure" in connection.getresponse().headers["Set-Cookie"]
        connection.close()


def test_a_client_without_a_certificate_gets_nothing_where_one_is_wanted(authority, tmp_path):
    """Nor one whose certificate has expired, or is of another authority. Who has a good one is called by its name, and may do what
    the station file says of that name.
    """
    certificate, key, _ = authority.issue("page2")
    files = {"certificate": str(certificate), "key": str(key), "ca": str(authority.file)}
    with served(tls=files, commands={"panel": ("record",)}) as page:
        status, _, body = asked(page.port, authority, authority.issue("panel"))
        assert status == 200 and b'"who":"panel","commands":["record"]' in body
        status, _, body = asked(page.port, authority, authority.issue("other"))
        assert status == 200 and b'"who":"other","commands":[]' in body
        with pytest.raises(OSError):  # noqa: PT011  the system and OpenSSL have many words for it
            asked(page.port, authority)
        wait_for(lambda: page.audited)
        assert page.audited[0][1:] == ("TLS handshake", "refused: the client showed no certificate")
        strangers = tmp_path / "strangers"
        strangers.mkdir()
        for client in (authority.issue("late", days=(-3, -2)), Authority(strangers, "another").issue("panel")):
            with pytest.raises(OSError):  # noqa: PT011
                asked(page.port, authority, client)
        wait_for(lambda: len(page.audited) == 3)
        assert "has expired" in page.audited[1][2] and "another authority" in page.audited[2][2]


def test_who_speaks_no_tls_is_refused(authority):
    certificate, key, _ = authority.issue("page3")
    with served(tls={"certificate": str(certificate), "key": str(key)}) as page:
        with pytest.raises((OSError, http.client.HTTPException)):
            page.ask("/api/status")
        assert page.source.asked == []
