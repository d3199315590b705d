"""Slaves by name, as `--slaves` lists them: `mirror` (`mirror:8`: so many bytes)."""

from collections.abc import Iterable

from fieldbus.ethercat.simulated.device import Device
from fieldbus.ethercat.simulated.generic import Mirror

_MOST = 200


def make(names: Iterable[str]) -> list[Device]:
    """The slaves of a bus, in order.

    Raises:
        ValueError: There is no such slave.
    """
    return [_one(name.strip()) for name in names]


def _one(text: str) -> Device:
    name, _, nbytes = text.partition(":")
    if name != "mirror" or not (nbytes or "2").isdigit() or not 1 <= int(nbytes or 2) <= _MOST:
        raise ValueError(f"no simulated slave is called {text!r}; there is mirror, or mirror:BYTES (1 to {_MOST})")
    return Mirror(int(nbytes or 2), product=int(nbytes or 2))
