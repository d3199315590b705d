"""Is every slave the one that is expected, and where it is expected? Pure."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from fieldbus.errors import RefusedError
from fieldbus.ethercat.options import SlaveOptions

WRONG_SLAVE = -1
"""`RefusedError.code` of a bus that is not the expected one."""


class Known(Protocol):
    """What is looked at: `SlaveFound` has it."""

    @property
    def position(self) -> int: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def vendor(self) -> int: ...  # noqa: D102
    @property
    def product(self) -> int: ...  # noqa: D102
    @property
    def revision(self) -> int: ...  # noqa: D102
    @property
    def alias(self) -> int: ...  # noqa: D102


_LOOKED_AT = ("vendor", "product", "revision", "alias")


def positions(found: Sequence[Known], options: Sequence[SlaveOptions], expected: int | None = None) -> dict[str, int]:
    """Name -> position of every slave that is named.

    Raises:
        RefusedError: the bus is another than the expected one: how many slaves there are, or which, with both sides' numbers.
    """
    if expected is not None and len(found) != expected:
        raise RefusedError(_counted(found, expected), WRONG_SLAVE)
    faults: list[str] = []
    places: dict[str, int] = {}
    for option in options:
        position = _place(found, option, faults)
        if position is None:
            continue
        places[option.name] = position
        wrong = differences(found[position], option)
        if wrong:
            faults.append(f"slave {option.name!r} at position {position} ({found[position].name}): {wrong}")
            faults[-1] += _elsewhere(found, option, position)
    if faults:
        raise RefusedError("; ".join(faults), WRONG_SLAVE)
    return places


def differences(slave: Known, option: SlaveOptions) -> str:
    """What is not as expected, with both numbers; empty: nothing."""
    return ", ".join(
        f"{what} 0x{getattr(slave, what):08X} where 0x{wanted:08X} is expected"
        for what in _LOOKED_AT
        if (wanted := getattr(option, what)) is not None and wanted != getattr(slave, what)
    )


def position_of(slave: str, places: Mapping[str, int], count: int) -> int:
    """The position that a tag's address means; raises `RefusedError`."""
    if slave in places:
        return places[slave]
    if slave.isdecimal():
        if int(slave) < count:
            return int(slave)
        raise RefusedError(f"there is no slave at position {slave}: {_how_many(count)}", WRONG_SLAVE)
    names = f"; there are {', '.join(places)}" if places else ""
    how = f"name it in a table `slaves.{slave}`, or write its position"
    raise RefusedError(f"no slave is called {slave!r}{names}: {how}", WRONG_SLAVE)


def _place(found: Sequence[Known], option: SlaveOptions, faults: list[str]) -> int | None:
    if option.position is not None:
        if option.position < len(found):
            return option.position
        faults.append(f"slave {option.name!r} is expected at position {option.position}, but {_how_many(len(found))}")
        return None
    at = [slave.position for slave in found if slave.alias == option.alias]
    if len(at) == 1:
        return at[0]
    if at:
        faults.append(f"slave {option.name!r}: alias {option.alias} have those at positions {', '.join(map(str, at))}")
        return None
    others = ", ".join(f"{slave.alias} at position {slave.position}" for slave in found if slave.alias)
    faults.append(
        f"slave {option.name!r}: no slave has alias {option.alias}; {f'there are {others}' if others else 'none has any'}"
    )
    return None


def _elsewhere(found: Sequence[Known], option: SlaveOptions, position: int) -> str:
    """Where the expected one is instead: a hint at cables in the wrong order."""
    if option.product is None:
        return ""
    at = [s.position for s in found if s.position != position and not differences(s, option)]
    return f" (that one is at position {at[0]}: are slaves or cables in another order?)" if at else ""


def _counted(found: Sequence[Known], expected: int) -> str:
    last = f", the last is {found[-1].name} at position {found[-1].position}" if found else ""
    what = "is one missing, or a cable not plugged in?" if len(found) < expected else "is one too many plugged in?"
    return f"{_how_many(len(found))}, where {expected} are expected{last}: {what}"


def _how_many(count: int) -> str:
    return {0: "no slave answers", 1: "one slave answers"}.get(count, f"{count} slaves answer")
