"""A broker's session that outlives whatever the library beneath it raises."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from plc_bindings.mqtt.broker import Broker


async def keep_up(broker: Broker, told: Callable[[str], None]) -> None:
    """Until cancelled: the session, and after an error of ours the next one. `told`: hears of it."""
    while True:
        try:
            await broker.run()
        except BaseException as error:
            task = asyncio.current_task()
            if task is None or task.cancelling() or not isinstance(error, Exception | asyncio.CancelledError):
                raise
            told(f"an error in rt-engine, the session begins anew: {error!r}")
        await asyncio.sleep(broker.options.retry_s)
