"""Requests that are nearly right: the page answers or closes, tells nothing, and serves the next."""

import random
import socket

from plc_bindings.security.access import Limits
from tests.station.page.fakes import ANNA, TOKENS, served

GOOD = [
    f"GET /api/status HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {ANNA}\r\n\r\n",
    "GET /api/trends?tag=a&step_ms=100&from=5 HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: rt_page=x; a=b\r\n\r\n",
    'POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{"token":"x"}',
    "POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 60\r\n\r\n"
    '--b\r\nContent-Disposition: form-data; name="token"\r\n\r\nx\r\n--b--\r\n',
    f"POST /api/command/record HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {ANNA}\r\nContent-Type: application/json\r\n"
    "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "GET /static/%2e%2e/x HTTP/1.1\r\nHost: [::1]:80\r\nRange: bytes=0-5\r\nIf-None-Match: *\r\nConnection: Upgrade\r\n"
    "Upgrade: websocket\r\nSec-WebSocket-Key: AAAA\r\nSec-WebSocket-Version: 13\r\n\r\n",
]
LEAKS = (b"Traceback", b"aiohttp", b'File "', b".py", ANNA.encode())


def mutant(rng):
    data = bytearray(rng.choice(GOOD).encode())
    for _ in range(rng.randint(0, 4)):
        at = rng.randrange(len(data))
        what = rng.randrange(5)
        if what == 0:
            data[at] = rng.randrange(256)
        elif what == 1:
            del data[at : at + rng.randint(1, 20)]
        elif what == 2:
            data[at:at] = bytes(rng.choices(range(256), k=rng.randint(1, 8)))
        elif what == 3:
            data[at:at] = rng.choice([b"\r\n", b"\0", b"%", b"\xff", b": ", b"," * 50, b"9" * 30, b"-1"])
        else:
            data += rng.choice(GOOD).encode()
        data = data or bytearray(b"\n")
    return bytes(data)


LIMITS = Limits(connections=1000, connections_per_address=1000, requests_per_second=10_000)
"""All of them may wait at once: who sends does not wait for a page that is held up."""


def test_mutants_of_requests_do_no_harm():
    rng = random.Random(13)
    with served(limits=LIMITS, tokens=TOKENS) as page:
        for _ in range(400):
            sent = mutant(rng)
            with socket.create_connection(("127.0.0.1", page.port), timeout=10) as client:
                client.sendall(sent)
                client.shutdown(socket.SHUT_WR)
                client.settimeout(0.02)
                answer = b""
                try:
                    while part := client.recv(65536):
                        answer += part
                except OSError:
                    pass
            assert not answer or answer.startswith((b"HTTP/1.1 ", b"HTTP/1.0 ", b"HTTP/0.9 ")), sent
            assert not any(leak in answer for leak in LEAKS), sent
        assert page.ask("/login")[0] == 200
        assert not any("error of ours" in outcome for *_, outcome in page.audited)
