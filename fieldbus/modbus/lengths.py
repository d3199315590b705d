"""How long requests may be: learned from what a device refuses. Pure."""

from collections.abc import Callable

from fieldbus.modbus.plan import Options, Plan, shorter
from fieldbus.modbus.protocol import Code
from fieldbus.modbus.requests import Request

TOO_LONG = (Code.ILLEGAL_VALUE, Code.ILLEGAL_ADDRESS)
"""How devices refuse a request that is longer than they can: 3 is the specification's, and 2 is met too."""
KEYS = {
    "max_read": "max_read",
    "max_write": "max_write",
    "max_read_bits": "max_bits",
    "max_write_bits": "max_bits",
}
"""Option -> the key of a station file."""


class Lengths:
    """The plan of a link while it learns how long requests its device takes.

    A refused request is asked again in halves, until all are taken; or until one is refused that cannot be shorter: then
    its address or its value is the reason, not its length, and requests are again as they were declared.
    """

    def __init__(self, declared: Options, planned: Callable[[Options], Plan]) -> None:
        self.options = self._declared = declared
        self._planned = planned
        self.plan = planned(declared)
        self._from_the_start = frozenset(map(str, self.plan.requests))
        self._is_over = False
        self._is_told = True

    def refused(self, request: Request, code: int) -> bool:
        """A device refused this; gives whether there is another plan now."""
        if self._is_over or code not in TOO_LONG:
            return False
        options = shorter(self.options, request)
        if options is None and str(request) in self._from_the_start:
            return False  # it tells nothing about the others
        self._is_over = options is None
        self._is_told = self._is_over
        return self._change(options or self._declared)

    def accepted(self) -> str:
        """A whole exchange was good; gives, once, what to write of what was learned, else nothing."""
        if self._is_told:
            return ""
        self._is_told = True
        return f"the device refuses longer requests: write {self.keys()}, or what its manual says"

    def keys(self) -> str:
        """What differs from what was declared: `max_read = 24`."""
        limits = {KEYS[option]: getattr(self.options, option) for option in KEYS if self._differs(option)}
        return ", ".join(f"{key} = {value}" for key, value in limits.items())

    def _differs(self, option: str) -> bool:
        return bool(getattr(self.options, option) != getattr(self._declared, option))

    def _change(self, options: Options) -> bool:
        if options == self.options:
            return False
        self.options, self.plan = options, self._planned(options)
        return True
