"""What the demo on EtherCAT does between two tries of an act."""

import asyncio
import io
from typing import Any, cast

from rich.console import Console

from station.demo.axis.story import AxisStory
from station.demo.screen import Screen
from tests.station.demo.axis.test_checks import look


class StoodStill(AxisStory):
    """Its drive took a computer that stood still for a master that is gone, until somebody resets that fault."""

    def __init__(self) -> None:
        self.told: list[tuple[str, ...]] = []
        super().__init__(cast(Any, None), cast(Any, self), Screen(Console(file=io.StringIO()), 1.0), "", "")

    async def command(self, *words: str) -> None:
        """Of the station."""
        self.told.append(words)

    async def _look(self) -> Any:
        return look(0, drive="OPERATION_ENABLED" if self.told else "FAULT")

    async def _watch(self, seconds: float, every_s: float = 0.0) -> list[Any]:
        return []


def test_a_drive_with_a_fault_is_reset_before_an_act_is_played_again() -> None:
    """Once: it is enabled then."""
    story = StoodStill()
    asyncio.run(story._gather())
    assert story.told == [("reset-drive", "x")]
