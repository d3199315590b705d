"""The native libraries that a station runs on, so that they can be built before it starts."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rt_native.library import Library


def libraries() -> list[Library]:
    """Those that the modules of a running station declare, in the order in which it imports them."""
    import scheduler.replay  # noqa: F401  # its gate may run a new version over a recording
    import station.running.station  # noqa: F401
    from rt_native.library import Library
    from station.links import link_tables

    for table in link_tables():
        for name in table.libraries:
            import_module(name)
    values = [value for module in list(sys.modules.values()) for value in vars(module).values()]
    return list(dict.fromkeys(value for value in values if isinstance(value, Library)))
