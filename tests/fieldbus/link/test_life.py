"""A device that answers and does not work: its life sign does not change."""

from collections.abc import Iterator

import numpy as np
import pytest

from fieldbus.errors import ChannelError
from fieldbus.image.image import ProcessImage
from fieldbus.inprocess import InProcessLink
from fieldbus.link.life import NS, LifeSign
from fieldbus.plc import PlcLink
from fieldbus.tags import Quality, Tag
from tests.waiting import PATIENCE_S, wait_for

BEAT = Tag("beat", "uint16", "in")
SPEED = Tag("speed", "float32", "in")
FORCE = Tag("force", "float32", "out")


def looks(*seen: tuple[float, float]) -> Iterator[str]:
    """What is said when the second cell has these values at these seconds."""
    sign = LifeSign(BEAT, 1, timeout_s=1.0)
    for value, second in seen:
        yield sign.look(np.array([7.0, value]), round(second * NS))


def test_a_device_lives_from_the_first_change_on() -> None:
    """Until then it is not trusted: the value may be as old as its last stop."""
    said = list(looks((5, 0.0), (5, 0.5), (6, 0.9), (6, 1.9), (6, 2.0), (7, 2.1)))
    assert said[:2] == ["the device answers, but its life sign beat has not changed yet"] * 2
    assert said[2:4] == ["", ""]
    assert said[4] == "the device answers, but its life sign beat has not changed for 1 s"
    assert said[5] == ""


def test_nan_does_not_change() -> None:
    """NaN differs from itself, and is no sign of life."""
    assert all(looks((float("nan"), 0.0), (float("nan"), 0.5)))


def test_a_new_connection_has_to_show_life_anew() -> None:
    """What changed while nobody looked may have changed when it stopped."""
    sign = LifeSign(BEAT, 0, timeout_s=1.0)
    assert [bool(sign.look(np.array([value]), 0)) for value in (1.0, 2.0)] == [True, False]
    sign.reset()
    assert sign.look(np.array([3.0]), 0)


def test_the_inputs_of_a_dead_device_are_bad_and_it_is_told() -> None:
    """All of them, until the sign changes again; outputs are still written; counted once, not in every cycle."""
    now = {"beat": 0.0, "speed": 3.0}
    is_alive = True

    def device(_: object) -> dict[str, float]:
        now["beat"] += is_alive
        return now

    link = InProcessLink("sim", [BEAT, SPEED, FORCE], device, 0.001, 0.5)
    link.watch_life("beat", 0.05)
    channel = link.subscribe(ProcessImage(), ["speed"], "task")
    with link:
        wait_for(lambda: channel.read().quality is Quality.GOOD and link.status().state == "up")
        is_alive = False
        wait_for(lambda: channel.read().quality is Quality.BAD and link.status().state == "degraded")
        errors = link.status().errors
        writes = link.status().writes
        wait_for(lambda: link.status().writes > writes + 10)
        status = link.status()
        assert (status.errors, status.state) == (errors, "degraded")
        assert status.last_error == "the device answers, but its life sign beat has not changed for 0.05 s"
        is_alive = True
        wait_for(lambda: channel.read().quality is Quality.GOOD and link.status().state == "up")


def test_a_plc_that_writes_the_same_is_bad() -> None:
    """Of a link that is called: each write is looked at."""
    link = PlcLink("plc", [BEAT, SPEED], PATIENCE_S)
    link.watch_life("beat", PATIENCE_S)
    channel = link.subscribe(ProcessImage(), ["speed"], "task")
    link.start()
    for beat, quality in ((0.0, Quality.BAD), (0.0, Quality.BAD), (1.0, Quality.GOOD)):
        link.write(np.array([beat, 3.0]), [0, 1])
        assert channel.read().quality is quality
    link.stop(safe=False)


def test_a_life_sign_is_an_input_of_the_link() -> None:
    """`ChannelError` names those that there are."""
    link = InProcessLink("sim", [BEAT, FORCE], lambda _: {"beat": 0.0})
    for name in ("force", "pulse"):
        with pytest.raises(ChannelError, match=f"link 'sim' has no tag '{name}' of that direction; it has beat"):
            link.watch_life(name, 1.0)


def test_a_life_sign_is_one_value() -> None:
    """An array would not say which of its values must change."""
    link = InProcessLink("sim", [Tag("beats", "uint16", "in", count=3)], lambda _: {"beats": [0, 0, 0]})
    with pytest.raises(ChannelError, match="its life sign is one value, and 'beats' has 3"):
        link.watch_life("beats", 1.0)
