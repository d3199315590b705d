"""Transactions, fields, channels -> rows of the tables that native code reads (`fieldbus.exchange.block`)."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from fieldbus.codec import Field, little_endian
from fieldbus.exchange.block import KEEP, MOVE, Flag, Kind
from fieldbus.exchange.plan import Pattern, Transaction
from fieldbus.link.plausible import is_judged, plausible_range
from fieldbus.link.ports import Cells
from fieldbus.tags import Order, Quality, Tag
from rt_native.memory import Block


def runs_of(cells: Cells, tags: Iterable[Tag]) -> list[tuple[int, int, int]]:
    """(cell here, cell in the channel, count): neighbours on both sides are one run."""
    runs: list[tuple[int, int, int]] = []
    there = 0
    for tag in tags:
        here = cells.first[tag.name]
        if runs and runs[-1][0] + runs[-1][2] == here:
            runs[-1] = (runs[-1][0], runs[-1][1], runs[-1][2] + tag.count)
        else:
            runs.append((here, there, tag.count))
        there += tag.count
    return runs


def part(parts: list[Block], nbytes: int) -> Block:
    """Memory that lives as long as `parts`."""
    block = Block(nbytes)
    parts.append(block)
    return block


def bytes_at(parts: list[Block], data: bytes) -> int:
    """The address of these bytes."""
    block = part(parts, len(data))
    block.view(np.uint8, 0, len(data))[:] = np.frombuffer(data, np.uint8)
    return block.address


def records(parts: list[Block], dtype: np.dtype[Any], rows: Sequence[Any]) -> int:
    """The address of a table with these rows."""
    block = part(parts, dtype.itemsize * len(rows))
    block.view(dtype, 0, len(rows))[:] = np.array(rows, dtype)
    return block.address


def lay_transaction(parts: list[Block], row: Any, transaction: Transaction) -> None:
    """Fill the row of a transaction."""
    flags = (Flag.READS if transaction.inputs else 0) | (Flag.WRITES if transaction.outputs else 0)
    flags |= (Flag.CLOCK if transaction.tells_time else 0) | (Flag.STATE if transaction.tells_state else 0)
    row["counter"] = transaction.counter or 0
    row["request"], row["request_bytes"] = bytes_at(parts, transaction.request), len(transaction.request)
    if transaction.answer is None:
        flags |= Flag.UNANSWERED
    else:
        row["answer"], row["mask"], row["answer_bytes"] = lay_pattern(parts, transaction.answer)
        row["newest"] = part(parts, len(transaction.answer.frame)).address
    if (refusal := transaction.refusal) is not None:
        row["refusal"], row["refusal_mask"], row["refusal_bytes"] = lay_pattern(parts, refusal.pattern)
        row["code_at"], row["passing"] = refusal.code_at, sum(1 << code for code in refusal.passing)
    row["flags"], row["quality"] = flags, Quality.GOOD if transaction.answer is None else Quality.BAD
    outs = moves_of(parts, transaction.outputs, transaction.outputs_at, True)
    ins = moves_of(parts, transaction.inputs, transaction.inputs_at, False)
    row["outs"], row["out_count"] = records(parts, MOVE, outs), len(outs)
    keeps = [(transaction.outputs_at + keep.byte, keep.mask, keep.cell) for keep in transaction.keeps]
    row["keeps"], row["keep_count"] = records(parts, KEEP, keeps), len(keeps)
    row["echoed_at"], row["echoed_bytes"] = transaction.echoed
    row["ins"], row["in_count"] = records(parts, MOVE, ins), len(ins)


def lay_pattern(parts: list[Block], pattern: Pattern) -> tuple[int, int, int]:
    """(address of its bytes, address of its mask, how many)."""
    return bytes_at(parts, pattern.frame), bytes_at(parts, pattern.fixed), len(pattern.frame)


def moves_of(parts: list[Block], fields: Sequence[Field], first_byte: int, is_output: bool) -> list[tuple[Any, ...]]:
    """Rows of `MOVE`: neighbours that are alike are one."""
    rows: list[dict[str, Any]] = []
    for field in fields:
        row = _move(parts, field, first_byte, is_output)
        if rows and _continues(rows[-1], row):
            rows[-1]["count"] += row["count"]
        else:
            rows.append(row)
    return [tuple(row[name] for name in MOVE.names or ()) for row in rows]


def _continues(row: dict[str, Any], following: dict[str, Any]) -> bool:
    count = row["count"]
    alike = all(row[n] == following[n] for n in row if n not in ("cell", "at", "bit", "count"))
    near = following["cell"] == row["cell"] + count
    if row["kind"] > Kind.BIT:
        return False
    if row["kind"] == Kind.BIT:
        return bool(alike and near and 8 * following["at"] + following["bit"] == 8 * row["at"] + row["bit"] + count)
    return bool(alike and near and not row["absent_count"] and following["at"] == row["at"] + row["step"] * count)


def _move(parts: list[Block], field: Field, first_byte: int, is_output: bool) -> dict[str, Any]:
    tag = field.tag
    at, kind = first_byte + field.byte, _kind(field)
    nbytes, places = (field.bits or 1, 0) if kind >= Kind.BIT else _element(tag.type, field.width, field.order)
    low, high = _held(field) if is_output else plausible_range(tag)
    absent = () if is_output else tag.unavailable
    is_checked = is_judged(tag)
    bits = [_bits(value, kind, nbytes) for value in absent]
    return {
        "cell": field.cell, "at": at, "count": field.count, "step": field.width, "kind": int(kind), "nbytes": nbytes,
        "places": places, "bit": field.bit or 0, "scale": tag.scale, "offset": tag.offset, "low": low, "high": high,
        "is_checked": int(is_checked), "absent": records(parts, np.dtype("<i8"), bits) if bits else 0,
        "absent_count": len(bits),
    }  # fmt: skip


@lru_cache(maxsize=256)
def _element(type_name: str, width: int, order: Order) -> tuple[int, int]:
    """(bytes, where each of them lies from the first one on) of an element; the same for all of thousands of tags."""
    places = little_endian(Field(Tag("any", type_name, "in"), 0, 0, width, order), 0)
    return len(places), _packed(places)


def _held(field: Field) -> tuple[float, float]:
    """The lowest and the highest raw number that fits."""
    number, bits = field.tag.number, field.bits
    if not bits:
        return number.low, number.high
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if number.low < 0 else (0, (1 << bits) - 1)
    return max(number.low, low), min(number.high, high)


def _kind(field: Field) -> Kind:
    if field.bits:
        return Kind.SIGNED_BITS if field.tag.number.low < 0 else Kind.BITS
    if field.bit is not None:
        return Kind.BIT
    if field.tag.type == "bool":
        return Kind.TRUTH
    char = field.tag.number.char
    if char in "fd":
        return Kind.FLOAT32 if char == "f" else Kind.FLOAT64
    return Kind.SIGNED if char in "bhiq" else Kind.UNSIGNED


def _packed(places: Sequence[int]) -> int:
    return int(np.frombuffer(bytes(places).ljust(8, b"\0"), "<i8")[0])


def _bits(value: float, kind: Kind, nbytes: int) -> int:
    """A raw number as the bits that native code compares."""
    if kind > Kind.BIT:
        return int(value)
    if kind == Kind.FLOAT32:
        return int(np.float32(value).view(np.uint32))
    if kind == Kind.FLOAT64:
        return int(np.float64(value).view(np.int64))
    bits = int(value) & ((1 << 8 * nbytes) - 1)
    return bits - (1 << 64) if bits >> 63 else bits
