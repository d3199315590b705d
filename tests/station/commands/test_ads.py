"""`rt-engine ads add-route`, against what stands for a controller on a loopback address of its own: UDP 48899 and AMS."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from typer.testing import CliRunner

from station.cli import app
from tests.fieldbus.ads.ads_plc import STOP, AdsPlc, own_loopback

USER, PASSWORD = "Administrator", "secret 1"
HEAD = bytes.fromhex("03661471 00000000")


class SystemService:
    """Answers the two requests of TwinCAT's system service that pyads sends, as it expects them."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.net_id = bytes([*map(int, host.split(".")), 1, 1])
        self.routes: list[bytes] = []
        self.is_odd = False
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, 48899))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            data, peer = self._socket.recvfrom(2048)
            if not data:  # shut down
                return
            head = HEAD + data[8:11] + b"\x80" + self.net_id + struct.pack("<H", 10000)
            if self.is_odd:
                self._socket.sendto(b"hello", peer)
            elif data[8] == 1:
                self._socket.sendto(head.ljust(395, b"\0"), peer)
            else:
                good = USER.encode() + b"\0" in data and PASSWORD.encode() + b"\0" in data
                self.routes += [data] if good else []
                word = b"\x04\0\0" if good else b"\0\x04\x07"
                self._socket.sendto((head + b"\x06\0" + b"\0" * 4 + word).ljust(32, b"\0"), peer)

    def close(self) -> None:
        with suppress(OSError):  # not connected: whoever waits is woken all the same
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()


@pytest.fixture
def plc() -> Iterator[AdsPlc]:
    with AdsPlc([]) as controller:
        yield controller


@pytest.fixture
def service(plc: AdsPlc) -> Iterator[SystemService]:
    service = SystemService(plc.host)
    yield service
    service.close()


def add_route(host: str, *words: str, typed: str = f"{USER}\n{PASSWORD}\n", code: int = 0) -> str:
    done = CliRunner().invoke(app, ["ads", "add-route", host, *words], input=typed)
    assert done.exit_code == code, done.output
    return done.output


def test_a_route_is_added_and_tried(service: SystemService):
    """The controller gets NetId, address and name; then it is asked through it, and the table of the link is shown."""
    told = add_route(service.host, "--name", "cell 4")
    (route,) = service.routes
    own = socket.inet_aton("127.0.0.1")
    assert own + b"\1\1" in route
    assert b"127.0.0.1\0" in route
    assert b"cell 4\0" in route
    assert "the PLC answers: it is in RUN" in told
    assert f'[links.plc]\ntype = "ads"\nams_net_id = "{service.host}.1.1"\n' in told
    assert "host =" not in told


def test_the_password_is_typed_and_shown_nowhere(service: SystemService):
    """No option takes it, and no line has it."""
    assert PASSWORD not in add_route(service.host)
    assert "--password" not in CliRunner().invoke(app, ["ads", "add-route", "--help"]).output


def test_an_own_net_id_goes_into_the_station_file(service: SystemService):
    """What is not derived from the address has its key."""
    told = add_route(service.host, "--net-id", "5.6.7.8.1.1")
    assert b"\5\6\7\10\1\1" in service.routes[0]
    assert 'local_net_id = "5.6.7.8.1.1"' in told


def test_a_plc_that_is_stopped_is_told(service: SystemService, plc: AdsPlc):
    """The route is well, and a link would say BAD."""
    plc.state = STOP
    assert "it is in STOP; a link wants it in RUN" in add_route(service.host)


def test_a_plc_that_does_not_answer_through_it_is_an_exit_code(service: SystemService, plc: AdsPlc):
    """The route is there; what it is for does not work yet."""
    plc.deaf()
    told = add_route(service.host, code=1)
    assert "does not answer yet: cannot connect" in told


def test_a_wrong_password_is_told(service: SystemService):
    """Exit code 1, no route."""
    assert "user or password is wrong" in add_route(service.host, typed=f"{USER}\nguess\n", code=1)
    assert not service.routes


def test_an_answer_of_somebody_else_is_told(service: SystemService):
    """Whatever listens there is no controller."""
    service.is_odd = True
    assert "what is no answer of TwinCAT's" in add_route(service.host, code=1)


def test_silence_says_what_to_look_at(monkeypatch: pytest.MonkeyPatch):
    """Firewall, or by hand in TwinCAT."""
    monkeypatch.setattr(socket.socket, "recvfrom", lambda *_: (_ for _ in ()).throw(TimeoutError("timed out")))
    told = add_route(own_loopback(), code=1)
    assert "does not answer at UDP port 48899" in told
    assert "Edit Routes" in told


def test_a_net_id_that_is_none_is_refused():
    """Before anything is sent."""
    assert "no AMS NetId" in add_route("127.0.0.1", "--net-id", "1.2.3", code=2)
