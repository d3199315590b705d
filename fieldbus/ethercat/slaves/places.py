"""Tags -> where they lie in the process data of slaves. Pure."""

from collections.abc import Callable, Mapping, Sequence

from fieldbus.errors import AddressError, RefusedError
from fieldbus.ethercat.address import EthercatAddress
from fieldbus.ethercat.plan import Place
from fieldbus.ethercat.slaves.entries import PdoEntry, SlaveFound
from fieldbus.ethercat.slaves.identity import WRONG_SLAVE, position_of
from fieldbus.link.ports import Cells
from fieldbus.tags import Tag

_SHOWN = 8


def _never(tag: Tag) -> bool:
    return False


def places_of(
    cells: Cells,
    slaves: Sequence[SlaveFound],
    names: Mapping[str, int],
    is_optional: Callable[[Tag], bool] = _never,
) -> list[Place]:
    """Of all tags of a direction; `names`: the positions of slaves that have one; a tag that is optional may have no place.

    Raises:
        RefusedError: there is no such slave or entry, it goes the other way, or has another size: with both.
    """
    found = [_place(tag, cells.first[tag.name], slaves, names, is_optional(tag)) for tag in cells.tags.values()]
    places = [place for place in found if place is not None]
    taken: dict[tuple[int, int], Tag] = {}
    for place in places:
        for bit in range(place.bit, place.bit + place.bits * place.tag.count) if place.tag.direction == "out" else ():
            other = taken.setdefault((place.slave, bit), place.tag)
            if other is not place.tag:
                raise _refused(place.tag, f"it lies where the output {other.name!r} does")
    return places


def _place(
    tag: Tag, cell: int, slaves: Sequence[SlaveFound], names: Mapping[str, int], is_optional: bool
) -> Place | None:
    address = tag.address
    if is_optional and not isinstance(address, EthercatAddress):
        return None
    if not isinstance(address, EthercatAddress):
        raise AddressError(f"tag {tag.name!r} needs an EthercatAddress, has {address!r}")
    try:
        position = position_of(address.slave, names, len(slaves))
    except RefusedError as error:
        raise _refused(tag, str(error)) from error
    slave = slaves[position]
    entry = slave.entry(address.wanted)
    if entry is None and is_optional:
        return None
    if entry is None:
        raise _refused(tag, f"slave {position} ({slave.name}) exchanges no {address.wanted}; {_offered(slave, tag)}")
    if entry.direction != tag.direction:
        ours, its = ("an output", "sends") if tag.direction == "out" else ("an input", "is sent")
        raise _refused(tag, f"it is {ours}, and slave {position} ({slave.name}) {its} {entry.place} ({entry.name})")
    return Place(tag, cell, position, entry.bit_offset, _bits(tag, entry, slave))


def _bits(tag: Tag, entry: PdoEntry, slave: SlaveFound) -> int:
    """Of one element of the tag."""
    own = 8 * tag.number.nbytes
    if tag.type == "bool" and entry.bits != own:
        if tag.count > entry.bits and not _goes_on(tag, entry, slave, 1):
            raise _refused(tag, f"it has {tag.count} bits, and {entry.place} ({entry.name}) has {entry.bits}")
        return 1
    if entry.bits != own and (tag.number.is_float or entry.bits > own):
        raise _refused(tag, f"{tag.type} has {own} bits, and {entry.place} ({entry.name}) has {entry.bits}")
    if tag.count > 1 and not _goes_on(tag, entry, slave, entry.bits):
        raise _refused(tag, f"{tag.count} values of {entry.bits} bits do not follow one another from {entry.place} on")
    return entry.bits


def _goes_on(tag: Tag, first: PdoEntry, slave: SlaveFound, bits: int) -> bool:
    """Do so many entries of that size lie one behind the other?"""
    at = {e.bit_offset: e for e in slave.entries if e.direction == first.direction and not e.is_gap}
    return all((e := at.get(first.bit_offset + i * bits)) is not None and e.bits == bits for i in range(tag.count))


def _offered(slave: SlaveFound, tag: Tag) -> str:
    """What there is instead, for people."""
    names = [f"{e.place} {e.name}" for e in slave.entries if e.direction == tag.direction and not e.is_gap]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    what = "inputs" if tag.direction == "in" else "outputs"
    return f"its {what} are {', '.join(names[:_SHOWN])}{more}" if names else f"it has no {what}"


def _refused(tag: Tag, why: str) -> RefusedError:
    return RefusedError(f"tag {tag.name!r}: {why}", WRONG_SLAVE)
