"""Why a device cannot be reached is said in a sentence, whatever stands where its name belongs."""

import errno
import ssl
import time

import pytest

from fieldbus.ads.client import AdsClient
from fieldbus.errors import ConnectionLostError, GarbageError, cause, told
from fieldbus.modbus.client import TcpClient

NAMES = ("x" * 300, "\u00fc" * 100, "a..b", "a\0b")


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_no_host_can_have_is_a_lost_connection(name):
    with pytest.raises(ConnectionLostError, match="cannot connect to") as caught:
        TcpClient(name, 5020).dial(time.monotonic_ns() + 10**9)
    assert "codec" not in str(caught.value)
    assert "Errno" not in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_also_of_a_controller(name):
    with pytest.raises(ConnectionLostError, match="cannot connect to") as caught:
        AdsClient("5.77.1.2.1.1", 851, name).dial(time.monotonic_ns() + 10**9)
    assert "codec" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "Connection refused"),
        (OSError(errno.ENOENT, "could not open port p: [Errno 2] ..."), "No such file or directory"),
        (UnicodeError("label too long"), "no host can have this name"),
        (ssl.SSLCertVerificationError(1, "[SSL] failed"), "[SSL] failed"),
        (TimeoutError("timed out"), "timed out"),
    ],
)
def test_causes_have_no_numbers_and_no_words_of_a_codec(error, words):
    assert cause(error) == words


def test_an_error_is_told_by_its_sentence():
    assert told(GarbageError("not a frame")) == "not a frame"
    assert told(TimeoutError()) == "TimeoutError"
