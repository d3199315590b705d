"""The native libraries that a station runs on, so that they can be built before it starts."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rt_native.library import Library


def libraries() -> list[Library]:
    """Those that the modules of a running station declare, in the order in which it imports them."""
    import fieldbus.ethercat.drives  # noqa: F401  # a link with drives imports it
    import scheduler.replay  # noqa: F401  # its gate may run a new version over a recording
    import station.running.station  # noqa: F401
    from rt_native.library import Library

    values = [value for module in list(sys.modules.values()) for value in vars(module).values()]
    return list(dict.fromkeys(value for value in values if isinstance(value, Library)))
