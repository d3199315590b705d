"""Symbols -> places in the controller: sizes checked, handles got, many names in one sum command.

What has been checked is kept when the connection is cut in between, as long as the symbol version stays; handles are
got anew on each connection, since a controller that was restarted may give the same number to another symbol.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from fieldbus.ads import requests
from fieldbus.ads.client import NO_SUMS, AdsClient
from fieldbus.ads.protocol import MOST_IN_A_SUM, Error, Group
from fieldbus.ads.requests import INFO_BYTES, Item
from fieldbus.ads.words import failure
from fieldbus.errors import ConnectionLostError, GarbageError, NoAnswerError, RefusedError
from fieldbus.tags import IEC_TYPES, TYPES

_HANDLE_BYTES: Final = 4
_LONG_INFO_BYTES: Final = 0xFFFF
_FIRST_NS: Final = 1_000_000_000
"""So long may the answer to the first sum command take, which asks for one symbol."""
_SILENCES: Final = 2
"""A first sum command that so many times got no answer is asked no more: once may have been the network."""
_TOLD: Final = 3
"""So many symbols that do not fit are named; the others are counted."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A symbol, the bytes that its tag needs, and the tag's type; empty: any of that size."""

    symbol: str
    nbytes: int
    type: str = ""


@dataclass(slots=True)
class _Found:
    fault: RefusedError | None = None
    handle: int | None = None
    is_checked: bool = False


class Lookup:
    """The symbols of one link. `is_single`: they were looked up one by one."""

    def __init__(self, wanted: Sequence[Wanted]) -> None:
        self.wanted = tuple(wanted)
        self._found = [_Found() for _ in self.wanted]
        self._version = b""
        self.is_single = False
        self._silences = 0

    def run(
        self,
        client: AdsClient,
        version: bytes,
        has_sums: bool,
        answer_by: Callable[[], int],
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> list[Item]:
        """Where all lie, in their order.

        Args:
            client: connected.
            version: the controller's symbol version.
            has_sums: does it know sum commands? False: two requests for each symbol.
            answer_by: asked before each request: when its answer is to be there (CLOCK_MONOTONIC); it may raise.
            progress: gets (symbols found, symbols in all).

        Raises:
            RefusedError: symbols are missing, or have another size; names them.
            DeviceError: the connection, or a request, failed: another `run` goes on where this one was.
        """
        self._begin(version)
        progress(0, len(self.wanted))
        if self._silences >= _SILENCES:
            has_sums, self._silences = False, 0  # silence to these too has another cause
        done = 0
        for some in self._chunks(MOST_IN_A_SUM if has_sums else 1):
            has_sums = has_sums and self._sum(client, some, answer_by())
            if not has_sums:
                self._singly(client, some, answer_by)
            done += len(some)
            progress(done, len(self.wanted))
        self.is_single = not has_sums
        self._silences = _SILENCES if self.is_single else 0
        self._raise_faults()
        return [self._item(i) for i in range(len(self.wanted))]

    def _begin(self, version: bytes) -> None:
        if version != self._version:
            self.forget()
            self._version = version
        for found in self._found:
            found.handle = None

    def forget(self) -> None:
        """All is looked up and checked the next time."""
        self._found = [_Found() for _ in self.wanted]

    def _chunks(self, most: int) -> Iterator[list[int]]:
        """Symbols, for which so many questions are to be asked at most; one that is not checked costs two.

        The first one alone shows whether the device answers such a request at all.
        """
        some: list[int] = []
        room = 1
        for i, found in enumerate(self._found):
            cost = 1 if found.is_checked else 2
            if some and cost > room:
                yield some
                some, room = [], most
            some.append(i)
            room -= cost
        if some:
            yield some

    def _sum(self, client: AdsClient, some: Sequence[int], deadline_ns: int) -> bool:
        """Look some up in one request; False: the device has no such requests.

        Some do not say so, but fall silent, or hang up: then a later connection asks for each symbol alone.
        """
        asked = [(i, is_info) for is_info in (True, False) for i in some if not (is_info and self._found[i].is_checked)]
        names = [
            (Group.INFO_BY_NAME_EX, INFO_BYTES, self.wanted[i].symbol)
            if is_info
            else (Group.HANDLE_BY_NAME, _HANDLE_BYTES, self.wanted[i].symbol)
            for i, is_info in asked
        ]
        more = f" and {len(some) - 1} more" if some[1:] else ""
        label = f"looking up {self.wanted[some[0]].symbol}{more}"
        is_first = some[0] == 0
        try:
            until_ns = min(deadline_ns, time.monotonic_ns() + _FIRST_NS) if is_first else deadline_ns
            got = client.read_write(label, requests.sum_by_name(names), until_ns)
        except RefusedError as error:
            if error.code in NO_SUMS:
                return False
            raise
        except (NoAnswerError, ConnectionLostError):
            self._silences += is_first
            raise
        for (i, is_info), (code, data) in zip(asked, requests.sum_answers(label, got, len(asked)), strict=True):
            if is_info and code == Error.BAD_SIZE:  # a comment, or attributes, longer than there was room for
                data, code = self._long_info(client, i, deadline_ns)
            (self._check if is_info else self._keep_handle)(i, code, data)
        return True

    def _singly(self, client: AdsClient, some: Sequence[int], answer_by: Callable[[], int]) -> None:
        for i in some:
            if not self._found[i].is_checked:
                data, code = self._long_info(client, i, answer_by())
                self._check(i, code, data)
            data, code = _tried(client, Group.HANDLE_BY_NAME, self.wanted[i].symbol, _HANDLE_BYTES, answer_by())
            self._keep_handle(i, code, data)

    def _long_info(self, client: AdsClient, i: int, deadline_ns: int) -> tuple[bytes, int]:
        return _tried(client, Group.INFO_BY_NAME_EX, self.wanted[i].symbol, _LONG_INFO_BYTES, deadline_ns)

    def _check(self, i: int, code: int, data: bytes) -> None:
        wanted, found = self.wanted[i], self._found[i]
        if code:
            found.fault = _refusal(wanted.symbol, code)
            return
        info = requests.symbol_info(wanted.symbol, data)
        if info.size != wanted.nbytes:
            message = f"symbol {wanted.symbol!r} is {info.type} of {info.size} bytes, but its tag needs {wanted.nbytes}"
            found.fault = RefusedError(message + _rather(info.type), Error.BAD_SIZE)
            return
        theirs, ours = TYPES.get(_type_of(info.type)), TYPES.get(wanted.type)
        if theirs and ours and theirs.is_float != ours.is_float:
            message = f"symbol {wanted.symbol!r} is {info.type}, but its tag is {wanted.type}{_rather(info.type)}"
            found.fault = RefusedError(message, Error.BAD_DATA)
            return
        found.is_checked = True

    def _keep_handle(self, i: int, code: int, data: bytes) -> None:
        wanted, found = self.wanted[i], self._found[i]
        if code:
            found.fault = found.fault or _refusal(wanted.symbol, code)
        elif len(data) < _HANDLE_BYTES:
            raise GarbageError(f"{wanted.symbol}: a handle of {len(data)} bytes")
        else:
            found.handle = int.from_bytes(data[:_HANDLE_BYTES], "little")

    def _raise_faults(self) -> None:
        faults = [found.fault for found in self._found if found.fault]
        if not faults:
            return
        told = "; ".join(str(fault) for fault in faults[:_TOLD])
        more = f"; and {len(faults) - _TOLD} more" if len(faults) > _TOLD else ""
        self.forget()
        raise RefusedError(told + more, faults[0].code)

    def _item(self, i: int) -> Item:
        handle = self._found[i].handle
        assert handle is not None
        return Item(self.wanted[i].symbol, Group.VALUE_BY_HANDLE, handle, self.wanted[i].nbytes)


def _tried(client: AdsClient, group: int, symbol: str, answer_bytes: int, deadline_ns: int) -> tuple[bytes, int]:
    """(answer, return code)."""
    try:
        return client.by_name(group, symbol, answer_bytes, deadline_ns), 0
    except RefusedError as error:
        return b"", error.code


def _refusal(symbol: str, code: int) -> RefusedError:
    error = failure(symbol, code)
    return error if isinstance(error, RefusedError) else RefusedError(str(error), code)


def stopwatch(deadline_ns: int, is_stopping: Callable[[], bool]) -> Callable[[], int]:
    """`answer_by` of `Lookup.run` for whoever has until `deadline_ns` for one request, and begins now.

    Each answer gets as long as the first has: many symbols take long, and they may. Once `is_stopping`, nothing gets
    more time than `deadline_ns`.
    """
    each_ns = deadline_ns - time.monotonic_ns()
    return lambda: deadline_ns if is_stopping() else time.monotonic_ns() + each_ns


def _type_of(type_name: str) -> str:
    """What a tag calls a type of the controller's, or that of its array's elements; empty: nothing like it."""
    return IEC_TYPES.get(type_name.rpartition(" OF ")[2].strip().upper(), "")


def _rather(type_name: str) -> str:
    """What to write for a type of the controller's."""
    name = _type_of(type_name)
    return f': write type = "{name}"' if name else ""
