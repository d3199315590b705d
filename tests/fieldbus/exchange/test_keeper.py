"""What the runner does while the keeper, which is Python, cannot."""

import ctypes
import threading
import time

import numpy as np
import pytest

from fieldbus.errors import ResourceError
from fieldbus.image.image import ProcessImage
from fieldbus.modbus.address import ModbusAddress
from fieldbus.modbus.link import ModbusLink, Tcp
from fieldbus.tags import Quality, Tag
from tests.fieldbus.exchange.bench import NS, PIECES
from tests.fieldbus.modbus.hostile import Hostile
from tests.waiting import is_once, wait_for

TIMEOUT_S = 0.3


def test_a_link_whose_keeper_gets_no_thread_leaves_no_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would run to the end of the process: `stop` has nothing to stop."""
    link = ModbusLink("l", [Tag("x", "uint16", "in", address=ModbusAddress("holding", 0))], Tcp("127.0.0.1", 1))
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "link-l":
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as patch:
        patch.setattr("threading.Thread.start", refuse)
        with pytest.raises(ResourceError, match="the system gave no thread for link 'l'"):
            link.start()
    assert "io-l" not in {thread.name for thread in threading.enumerate()}
    link.start()
    wait_for(lambda: link.status().last_error != "")
    link.stop()


def test_inputs_are_stale_then_bad_while_python_is_stuck() -> None:
    """The interpreter is held for three timeouts, so that neither keeper nor device (Python, too) can do anything.

    Who looks at the channel from native code sees GOOD end, then STALE, then BAD to the end. Afterwards it is GOOD again.
    """
    holding = ctypes.PYFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 3)(PIECES.address("piece_watch"))
    with Hostile() as device:
        tag = Tag("x", "uint16", "in", address=ModbusAddress("holding", 0))
        link = ModbusLink("l", [tag], Tcp("127.0.0.1", device.port), 0.005, TIMEOUT_S)
        channel = link.subscribe(ProcessImage(), ["x"], "test")

        def is_in_order() -> bool:
            wait_for(lambda: channel.read().quality is Quality.GOOD)
            seen = np.zeros(3, np.int64)
            began_ns = time.monotonic_ns()
            until_ns = began_ns + round(3 * TIMEOUT_S * NS)
            holding(channel.address, until_ns, seen.ctypes.data)
            good_ns, stale_ns, bad_ns = seen.tolist()
            assert good_ns < bad_ns
            return began_ns < stale_ns and good_ns < stale_ns < bad_ns

        with link:
            assert is_once(is_in_order)
            wait_for(lambda: channel.read().quality is Quality.GOOD)
