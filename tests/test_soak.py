"""The soak's device calls wrong what is wrong: a judge that always nods proves nothing."""

import struct
from types import SimpleNamespace

import pytest

from benchmarks.soak import device as module
from benchmarks.soak.device import SAFE, SPAN_MS, Device


def write(device, y):
    """Function code 16 with one float; gives what it counted as."""
    before = dict(device.counts)
    device._carry_out(struct.pack(">BHHB", 16, 0, 2, 4) + struct.pack(">f", y))
    return {name for name, count in device.counts.items() if count != before.get(name, 0)} - {"writes"}


def read(device):
    return struct.unpack(">f", device._carry_out(struct.pack(">BHH", 4, 0, 2))[2:])[0]


@pytest.fixture
def clock(monkeypatch):
    """The device's, which stands still but where a test moves it."""
    clock = SimpleNamespace(now_s=1000.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now_s))
    return clock


@pytest.fixture
def device(clock):
    made = Device(timeout_ms=10.0)
    yield made
    made._listener.close()
    made._selector.close()


def test_judge(device, clock):
    """Right: made of a value that was served lately, by the version that runs; or the safe value."""
    x = read(device)
    assert write(device, x) == {"right"}
    assert write(device, SAFE) == {"safe"}
    assert write(device, x + 0.25) == {"wrong"}, "another version's"
    device._command(["versions", "1"])
    assert write(device, x + 0.25) == {"right"}
    assert write(device, x + 0.3) == {"wrong"}, "no quarter"
    assert write(device, float("nan")) == {"wrong"}
    assert write(device, (x + SPAN_MS / 4) % SPAN_MS + 0.25) == {"wrong"}, "never served"
    clock.now_s += 0.05
    assert write(device, x + 0.25) == {"too old"}
