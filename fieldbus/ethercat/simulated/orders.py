"""Orders to a simulated bus: what goes wrong, as a table of words. A line of JSON each, where the bus is a process.

{"do": "lose", "frames": 5}                     also "every": 10 (each tenth), "low"/"high" (index of the first datagram)
{"do": "lose_answer" | "double" | "garble", ...}
{"do": "delay", "ns": 2000000, ...}
{"do": "damage", "slave": 1, ...}               the checksum breaks before that slave
{"do": "miscount", "slave": 1, "by": -1, ...}   a wrong working counter
{"do": "calm"}                                  none of these any more; "frames": -1 is for ever
{"do": "power", "slave": 1, "on": false}
{"do": "hang", "slave": 1, "on": true}          its device does nothing; the watchdog of the PDI expires
{"do": "cut" | "mend", "before": 1}             the cable before that slave
{"do": "identify", "slave": 1, "product": 7}    vendor, product, revision, serial, alias in its EEPROM
{"do": "reset", "slave": 1}                     power off and on
{"do": "read", "slave": 1, "register": 272, "nbytes": 2}    registers or memory of its ESC, in hexadecimal digits
{"do": "state"}                                 counters of the bus, states of the slaves
{"do": ANYTHING ELSE, "slave": 1, ...}          is the device's own: `Device.order`
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from fieldbus.ethercat.simulated.esc import Esc
from fieldbus.ethercat.simulated.layout import Fault
from fieldbus.ethercat.simulated.registers import AL_CODE, AL_STATUS

_KEYS: Final = {
    "frames": "left",
    "every": "every",
    "low": "low",
    "high": "high",
    "slave": "slave",
    "ns": "value",
    "by": "value",
}
_MOST_SLAVE, _MOST_DELAY_NS = 255, 1 << 36


class Ordered(Protocol):
    """A bus, as orders need it."""

    @property
    def escs(self) -> list[Esc]:
        """The slaves."""

    def power(self, slave: int, is_on: bool) -> None:
        """Switch a slave on or off."""

    def hang(self, slave: int, is_hung: bool) -> None:
        """Let a slave's device hang, or work again."""

    def cut(self, before: int, is_cut: bool = True) -> None:
        """Break a cable, or mend it."""

    def fault(self, row: Mapping[str, int] | None) -> None:
        """Order a fault of frames; None ends all."""

    def counters(self) -> dict[str, int]:
        """What happened to frames so far."""


def _fault(kind: Fault) -> Callable[[Ordered, Mapping[str, Any]], dict[str, Any]]:
    def order(bus: Ordered, given: Mapping[str, Any]) -> dict[str, Any]:
        row = {_KEYS[name]: int(value) for name, value in given.items() if name in _KEYS}
        if kind is Fault.DELAY and not 0 < row.get("value", 0) < _MOST_DELAY_NS:
            raise ValueError("a delay needs its ns, more than 0 and less than a minute")
        if row.get("slave", 0) > _MOST_SLAVE:
            raise ValueError(f"slaves that break frames are 0 to {_MOST_SLAVE}")
        bus.fault({"kind": int(kind), **row})
        return {}

    return order


def _calm(bus: Ordered, given: Mapping[str, Any]) -> dict[str, Any]:
    bus.fault(None)
    return {}


def _power(bus: Ordered, given: Mapping[str, Any]) -> dict[str, Any]:
    bus.power(_slave(bus, given), bool(given["on"]))
    return {}


def _reset(bus: Ordered, given: Mapping[str, Any]) -> dict[str, Any]:
    for is_on in (False, True):
        bus.power(_slave(bus, given), is_on)
    return {}


def _hang(bus: Ordered, given: Mapping[str, Any]) -> dict[str, Any]:
    bus.hang(_slave(bus, given), bool(given.get("on", True)))
    return {}


def _cut(bus: Ordered, given: Mapping[str, Any]) -> dict[str, Any]:
    before = int(given["before"])
    if not 0 <= before <= len(bus.escs):
        raise ValueError(f"there is no cable before slave {before}; cables are 0 to {len(bus.escs)}")
    bus.cut(before, given["do"] == "cut")
    return {}


def _identify(bus: Ordered, given: Mapping[str, Any]) -> dict[str, Any]:
    numbers = {name: int(value) for name, value in given.items() if name not in ("do", "slave")}
    bus.escs[_slave(bus, given)].identify(**numbers)
    return {}


def _read(bus: Ordered, given: Mapping[str, Any]) -> dict[str, Any]:
    return {"data": bus.escs[_slave(bus, given)].read(int(given["register"]), int(given["nbytes"])).hex()}


def _state(bus: Ordered, given: Mapping[str, Any]) -> dict[str, Any]:
    slaves = [
        {
            "on": esc.is_on,
            "al_status": int.from_bytes(esc.read(AL_STATUS, 2), "little"),
            "al_code": int.from_bytes(esc.read(AL_CODE, 2), "little"),
        }
        for esc in bus.escs
    ]
    return {"bus": bus.counters(), "slaves": slaves}


_ORDERS: Final[Mapping[str, Callable[[Ordered, Mapping[str, Any]], dict[str, Any]]]] = {
    **{kind.name.lower(): _fault(kind) for kind in Fault if kind is not Fault.COUNTER},
    "miscount": _fault(Fault.COUNTER),
    "calm": _calm,
    "power": _power,
    "reset": _reset,
    "hang": _hang,
    "cut": _cut,
    "mend": _cut,
    "identify": _identify,
    "read": _read,
    "state": _state,
}


def _slave(bus: Ordered, given: Mapping[str, Any]) -> int:
    slave = int(given["slave"])
    if not 0 <= slave < len(bus.escs):
        raise ValueError(f"there is no slave {slave}; they are 0 to {len(bus.escs) - 1}")
    return slave


def carry_out(bus: Ordered, given: Mapping[str, Any]) -> dict[str, Any]:
    """Carry out one order; gives what is answered.

    Raises:
        ValueError: It is none, or does not fit.
    """
    try:
        name = str(given["do"])
        if name in _ORDERS:
            return _ORDERS[name](bus, given)
        if "slave" not in given:
            raise ValueError(
                f"the bus knows no order {name!r}: {', '.join(_ORDERS)}; what a slave does itself needs its 'slave'"
            )
        esc = bus.escs[_slave(bus, given)]
        rest = {key: value for key, value in given.items() if key not in ("do", "slave")}
        return {"answer": esc.device.order(esc, name, rest)}
    except KeyError as error:
        raise ValueError(f"the order {dict(given)} lacks {error}") from error
