"""What a client asks: `POST .../infer`, JSON with or without binary tensors behind it -> inputs in the bytes of the model.

    Inference-Header-Content-Length: 114    the JSON's bytes; tensors follow, in the order of the inputs with a `binary_data_size`

Pure, but for long arrays in JSON, which are read piece by piece.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from plc_bindings.http.ends import End, Ends
from plc_bindings.http.errors import Refusal, misfit, wrong
from plc_bindings.http.json_values import Load, exact, quick
from plc_bindings.http.numbers import WHOLE, Span, read
from plc_bindings.http.tensors import WHOLE_NUMBERS, Raw, from_binary, from_json, from_text, parameters_of

MOST_HEADS: Final = 32
"""JSON of so many calls of a model is remembered."""
MOST_REMEMBERED: Final = 4096
"""Bytes of it: beside a tensor's numbers, in which objects without end would take twenty times as many."""
_T = TypeVar("_T")
_MARK: Final = secrets.token_hex(16)
_DATA: Final = re.compile(rb'"data"\s*:\s*\[')
"""Before a tensor's numbers, which may be nested."""
_ARRAY: Final = re.compile(rb'\[[^"{}]*\]')


@dataclass(frozen=True, slots=True)
class Turn:
    """`sequence_id`, and whether the call is the first or the last of it."""

    id: int | str
    starts: bool
    ends: bool


@dataclass(slots=True)
class Question:
    """One call of a model.

    Attributes:
        count: runs; `has_batch`: do its tensors have the batch's place?
        inputs: the bytes of each, in the model's order, run after run.
        outputs: (number of the output, is it wanted binary), in the order of the answer.
        sequence: whose state it goes on with; None: of none.
    """

    id: str | None
    count: int
    has_batch: bool
    inputs: list[Raw]
    outputs: Sequence[tuple[int, bool]]
    sequence: Turn | None


@dataclass(slots=True)
class _Head:
    """What a body's JSON says. `spans`: its long arrays (`numbers.py`); `is_bare`: all of its tensors are binary."""

    id: str | None
    count: int
    has_batch: bool
    given: Sequence[tuple[str, End, dict[str, Any], int | None]]
    """(where, the model's input, what is said of it, its bytes behind the JSON), in the order of the request."""
    outputs: Sequence[tuple[int, bool]]
    sequence: Turn | None
    spans: dict[str, Span]
    is_bare: bool


@dataclass(slots=True)
class _Frame:
    """JSON around the numbers of the only input, which came before: what it says, and what stands behind them."""

    head: _Head
    suffix: bytes


class Reader:
    """Reads calls of one model. JSON that came before is not read again, but for the numbers in it.

    Args:
        ends: of the model.
        most: runs of one call.
    """

    def __init__(self, ends: Ends, most: int) -> None:
        self._ends, self._most = ends, most
        self._heads: dict[bytes, _Head] = {}
        """With all tensors behind it."""
        self._frames: dict[bytes, _Frame] = {}
        """What stands before the numbers -> the rest."""

    async def asked(self, body: bytes, header: str | None) -> Question:
        """The call that a request's body stands for; `header`: its `Inference-Header-Content-Length`.

        Raises:
            Refusal: it is none, with what is wrong, where, and what was expected.
        """
        text, tensors = _halves(body, header)
        if not text and header is not None:
            return _raw(tensors, self._ends, self._most)
        try:
            return await self._question(text, tensors, quick)
        except Refusal:
            return await self._question(text, tensors, exact)

    async def _question(self, text: bytes, tensors: memoryview, load: Load) -> Question:
        found_data = _DATA.search(text) if not tensors and len(text) <= WHOLE else None
        data = found_data.end() - 1 if found_data is not None else 0
        if data and (question := self._framed(text, data, load)) is not None:
            return question
        head = self._heads.get(text)
        if head is None:
            head = _read(text, self._ends, self._most, load)
            self._remember(text, head, data)
        found: dict[str, Raw] = {}
        at = 0
        for where, end, entry, size in head.given:
            if size is None:
                found[end.name] = await from_text(entry, head.spans, end, head.count, where, load)
                continue
            if size > len(tensors) - at:
                expected = f"at most {len(tensors) - at} bytes that are there"
                raise wrong(f"{where}.parameters.binary_data_size", expected, size)
            found[end.name] = from_binary(tensors[at : at + size], entry["datatype"], end, head.count, where)
            at += size
        if at != len(tensors):
            words = f"the binary tensors have {len(tensors):,} bytes, the inputs' binary_data_size names {at:,}"
            raise Refusal(400, words)
        inputs = [found[end.name] for end in self._ends.inputs]
        return Question(head.id, head.count, head.has_batch, inputs, head.outputs, head.sequence)

    # --- what came before ---------------------------------------------------------------------------------------------

    def _framed(self, text: bytes, at: int, load: Load) -> Question | None:
        """A call whose JSON is known but for the numbers that begin there; None: it is not."""
        frame = self._frames.get(text[:at])
        if frame is None or not text.endswith(frame.suffix):
            return None
        try:
            data = load(text[at : len(text) - len(frame.suffix)])
        except (ValueError, RecursionError):
            return None
        head = frame.head
        ((where, end, entry, _),) = head.given
        raw = from_json(data, entry, end, head.count, where)
        return Question(None, head.count, head.has_batch, [raw], head.outputs, head.sequence)

    def _remember(self, text: bytes, head: _Head, data: int) -> None:
        """`data`: where the first numbers in the JSON begin; 0: there are none."""
        if head.id is not None or len(text) > WHOLE:
            return
        if head.is_bare:
            if len(text) <= MOST_REMEMBERED:
                _keep(self._heads, text, head)
        elif len(head.given) == 1 and (array := _ARRAY.match(text, data)) is not None:
            prefix, suffix = text[:data], text[array.end() :]
            if len(prefix) + len(suffix) > MOST_REMEMBERED:
                return
            try:
                marked = _read(b'%b"%b"%b' % (prefix, _MARK.encode(), suffix), self._ends, self._most, quick)
            except Refusal:
                return
            if marked.given[0][2].get("data") == _MARK:  # else there are two of that name, or it stands elsewhere
                _keep(self._frames, prefix, _Frame(marked, suffix))


def _keep(known: dict[bytes, _T], text: bytes, value: _T) -> None:
    """One more, of a few: who sends another each time takes no memory, and soon others are known again."""
    if len(known) >= MOST_HEADS:
        known.clear()
    known[text] = value


def _read(text: bytes, ends: Ends, most: int, load: Load) -> _Head:
    said, spans = read(text, load)
    if type(said) is not dict:
        raise wrong("the body", "an object", said)
    parameters = parameters_of(said, "parameters")
    given = _inputs_by_name(said, ends)
    count, has_batch = _runs(given, ends, most)
    sized = [(where, end, entry, _size(entry, where)) for where, end, entry in given]
    name = said.get("id")
    if name is not None and type(name) is not str:
        raise wrong("id", "a string", name)
    outputs = _wanted(said, ends, _flag(parameters, "binary_data_output", "parameters"))
    is_bare = all(size is not None for *_, size in sized)
    return _Head(name, count, has_batch, sized, outputs, _sequence(parameters), spans, is_bare)


def _size(entry: dict[str, Any], where: str) -> int | None:
    """A tensor's bytes behind the JSON; None: it is in the JSON."""
    size = parameters_of(entry, where).get("binary_data_size")
    if size is not None and (type(size) is not int or size < 0):
        raise wrong(f"{where}.parameters.binary_data_size", "a number of bytes", size)
    return size


def _halves(body: bytes, header: str | None) -> tuple[bytes, memoryview]:
    """(JSON, what stands behind it)."""
    if header is None:
        return body, memoryview(b"")
    length = int(header) if header.isascii() and header.isdigit() and len(header) < 16 else -1
    if not 0 <= length <= len(body):
        raise wrong("Inference-Header-Content-Length", f"0 to {len(body)}, the bytes of the body", header)
    return body[:length], memoryview(body)[length:]


def _raw(tensors: memoryview, ends: Ends, most: int) -> Question:
    """A body without JSON: the only input, binary; all outputs come binary."""
    if len(ends.inputs) != 1 or ends.inputs[0].names:
        raise Refusal(400, "a body without JSON: expected a model with one input of numbers; send its inputs' names")
    end = ends.inputs[0]
    count, rest = divmod(len(tensors), end.nbytes) if end.nbytes else (1, 0)
    if rest or not count:
        raise misfit(f'input "{end.name}"', f"a multiple of {end.nbytes} bytes", f"{len(tensors)} bytes")
    _few_enough(count, most)
    raw = from_binary(tensors, end.datatype, end, count, f'input "{end.name}"')
    return Question(None, count, ends.takes_first or count > 1, [raw], ends.all_binary, None)


def _inputs_by_name(said: dict[str, Any], ends: Ends) -> list[tuple[str, End, dict[str, Any]]]:
    """(where, the model's input, what the request says of it), in the order of the request."""
    entries = said.get("inputs")
    if type(entries) is not list:
        raise wrong("inputs", "an array of tensors", entries)
    known = dict(ends.by_name)
    found: list[tuple[str, End, dict[str, Any]]] = []
    for number, entry in enumerate(entries):
        where = f"inputs[{number}]"
        if type(entry) is not dict:
            raise wrong(where, "an object", entry)
        name = entry.get("name")
        end = known.pop(name, None) if type(name) is str else None
        if end is None:
            names = ", ".join(f'"{one.name}"' for one in ends.inputs) or "none"
            raise wrong(f"{where}.name", f"each of the model's inputs once ({names})", name)
        if entry.get("datatype") not in (end.datatype, end.number):
            either = f"{end.datatype} or {end.number}" if end.names else end.datatype
            raise wrong(f"{where}.datatype", f'{either} of input "{name}"', entry.get("datatype"))
        found.append((where, end, entry))
    if known:
        raise Refusal(400, f"inputs: expected {', '.join(map(ascii, known))} too")
    return found


def _runs(given: Iterable[tuple[str, End, dict[str, Any]]], ends: Ends, most: int) -> tuple[int, bool]:
    """(how many runs, have the tensors the batch's place): the same for all inputs."""
    agreed: tuple[int, bool] | None = None
    for where, end, entry in given:
        shape = entry.get("shape")
        is_shape = type(shape) is list and len(shape) <= 64 and set(map(type, shape)) <= WHOLE_NUMBERS
        runs = ends.runs(end, shape) if is_shape and shape is not None else None
        if runs is None:
            raise wrong(f"{where}.shape", _shapes(end, ends), shape)
        if agreed is not None and runs != agreed:
            raise wrong(f"{where}.shape", f"the batch of the inputs before it ({agreed[0]})", shape)
        agreed = runs
    count, has_batch = agreed or (1, ends.takes_first)
    _few_enough(count, most)
    return count, has_batch


def _shapes(end: End, ends: Ends) -> str:
    batch = str([-1, *end.rest])
    words = batch if ends.takes_first else f"{list(end.shape)} or {batch}"
    return f'{words} of input "{end.name}" (-1: a batch)'


def _few_enough(count: int, most: int) -> None:
    if count > most:
        raise Refusal(413, f"a batch of {count:,}: expected at most {most:,}; send several requests")


# --- what is wanted ---------------------------------------------------------------------------------------------------


def _wanted(said: dict[str, Any], ends: Ends, is_binary: bool) -> Sequence[tuple[int, bool]]:
    entries = said.get("outputs")
    if entries is None or entries == []:
        return ends.all_binary if is_binary else ends.all_plain
    if type(entries) is not list:
        raise wrong("outputs", "an array", entries)
    numbers = {end.name: number for number, end in enumerate(ends.outputs)}
    found: list[tuple[int, bool]] = []
    for at, entry in enumerate(entries):
        where = f"outputs[{at}]"
        if type(entry) is not dict:
            raise wrong(where, "an object", entry)
        name = entry.get("name")
        number = numbers.pop(name, None) if type(name) is str else None
        if number is None:
            names = ", ".join(f'"{end.name}"' for end in ends.outputs)
            raise wrong(f"{where}.name", f"each of the model's outputs at most once ({names})", name)
        parameters = parameters_of(entry, where)
        if parameters.get("classification"):
            raise Refusal(400, f"{where}: classification is not done here; ask for the scores, and sort them yourself")
        if "shared_memory_region" in parameters:
            raise Refusal(400, f"{where}: this server writes no shared memory")
        found.append((number, _flag(parameters, "binary_data", where, is_binary)))
    return found


def _sequence(parameters: dict[str, Any]) -> Turn | None:
    name = parameters.get("sequence_id")
    if name is None or name == 0 or name == "":
        return None
    if type(name) not in (int, str) or len(str(name)) > 128:
        raise wrong("parameters.sequence_id", "a number or a string of up to 128 characters", name)
    starts, ends = (_flag(parameters, f"sequence_{end}", "parameters") for end in ("start", "end"))
    return Turn(name, starts, ends)


def _flag(parameters: dict[str, Any], name: str, where: str, default: bool = False) -> bool:
    found = parameters.get(name, default)
    if type(found) is not bool:
        raise wrong(f"{where}.{name}", "true or false", found)
    return found
