"""A Python function as a device."""

import pytest

from fieldbus.errors import ConnectionLostError
from fieldbus.image.image import ProcessImage
from fieldbus.inprocess.link import InProcessLink
from fieldbus.tags import Quality, Tag
from tests.waiting import wait_for

TAGS = [
    Tag("x", "float32", "in"),
    Tag("v", "int16", "in", count=2),
    Tag("u", "float32", "out", safe=-1.0),
    Tag("w", "int16", "out", count=2),
]


def test_values_travel_both_ways() -> None:
    """The device sees a float per tag, an array per array tag, and answers the same."""
    image = ProcessImage()
    link = InProcessLink("sim", TAGS, lambda o: {"x": o["u"] * 2.0, "v": o["w"] + 1.0}, timeout_s=5.0)
    inputs, outputs = link.subscribe(image, ["v", "x"], "task"), link.drive(image, ["w", "u"], "task")
    outputs.write([10.0, 20.0, 0.5])
    with link:
        wait_for(lambda: inputs.read().values.tolist() == [11.0, 21.0, 1.0])


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"x": 1.0}, "the device's answer lacks 'v'; it gave x"),
        ({"x": "one", "v": [1, 2]}, "the device's answer must hold a number for 'x'"),
        ({"x": 1.0, "v": [1, 2, 3]}, "the device's answer must hold 2 numbers for 'v'"),
        (None, "the device's answer must hold a number for 'x'"),
        ({"x": 10**400, "v": [1, 2]}, "the device's answer must hold a number for 'x'"),
        (ValueError("stuck"), f"the device raised ValueError('stuck') at {__file__}:"),
        ({}, "the device's answer lacks 'x'; it gave nothing"),
        (SystemExit(3), "the device raised SystemExit(3)"),
        (ConnectionLostError("unplugged"), "unplugged"),
    ],
)
def test_a_failing_device_makes_its_subscribers_bad(answer: object, error: str) -> None:
    """A wrong answer, an exception or a pulled plug: BAD, with the reason in the status; then it recovers."""
    broken = False

    def device(outputs: object) -> object:
        if broken and isinstance(answer, BaseException):
            raise answer
        return answer if broken else {"x": 1.0, "v": [1, 2]}

    image = ProcessImage()
    link = InProcessLink("sim", TAGS, device, backoff_s=(0.01, 0.02))  # type: ignore[arg-type]
    inputs = link.subscribe(image, ["x"], "task")
    with link:
        wait_for(lambda: inputs.read().quality is Quality.GOOD)
        broken = True
        wait_for(lambda: inputs.read().quality is Quality.BAD)
        assert error in link.status().last_error
        broken = False
        wait_for(lambda: inputs.read().quality is Quality.GOOD)
