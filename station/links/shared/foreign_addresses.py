"""Modbus addresses as manuals, other tools and controllers write them -> what is meant in a station file. Pure.

40001, 400001, 4x0001, 4x1     holding 0          first digit: the table, the rest counts from 1
00001, 10001, 30001            coil 0, discrete 0, input 0
HR 5, IR5, DI 5, CO 5          holding 5 ...      a short name; the manual may count from 1
holding register 5, coils 5    holding 5, coil 5
FC3 5                          holding 5          a function code
holding 10h, holding 16#10     holding 16         (holding 0x10 is understood)
%MW5, %M5, %IW5                holding 5 ...      on Schneider's controllers
0x0010                         holding 16, or coil 9: it is said that both may be meant
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from fieldbus.modbus.protocol import ADDRESSES

DIGITS: Final = {0: "coil", 1: "discrete", 3: "input", 4: "holding"}
"""The first digit of a number as manuals write it -> the table."""
_CODES: Final = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}
_SHORT: Final = {
    **dict.fromkeys(("HR", "HREG", "H", "MHR", "AO"), "holding"),
    **dict.fromkeys(("IR", "IREG", "AI"), "input"),
    **dict.fromkeys(("DI", "IS"), "discrete"),
    **dict.fromkeys(("CO", "C", "DO", "CS"), "coil"),
}
_SCHNEIDER: Final = {
    "MW": "holding",
    "M": "coil",
    "MX": "coil",
    "IW": "input",
    "I": "discrete",
    "IX": "discrete",
    "QW": "holding",
}
_PARTS: Final = re.compile(
    r"\s*(?P<unit>unit\s+\d+\s+)?(?P<core>.*?)(?P<bit>\.\d+)?(?P<order>\s+[ABCD]{4})?\s*", re.IGNORECASE | re.DOTALL
)
_TABLE: Final = r"(holding|input|coil|discrete)s?"


def counted_in_manuals(number: int) -> tuple[str, int] | None:
    """40003 or 400003 -> holding, 2: the first digit names the table, the rest counts from 1; coils need their 0 written."""
    for digit, table in DIGITS.items():
        for first, last in (
            (digit * 10_000 + 1, digit * 10_000 + 9_999),
            (digit * 100_000 + 1, digit * 100_000 + ADDRESSES),
        ):
            if digit and first <= number <= last:
                return table, number - first
    return None


def meant(text: str) -> str:
    """What a foreign address means, in words that end with what to write; empty: it is none that is known."""
    parts = _PARTS.fullmatch(text)
    if parts is None:
        return ""
    core = parts["core"].strip()

    def written(table: str, number: int) -> str:
        return f'"{parts["unit"] or ""}{table} {number}{parts["bit"] or ""}{parts["order"] or ""}"'

    for pattern, words in _FORMS:
        match = re.fullmatch(pattern, core, re.IGNORECASE)
        if match and (found := words(match, written)):
            return found
    return ""


_Written = Callable[[str, int], str]


def _manual(match: re.Match[str], written: _Written) -> str:
    digits = match[1]
    counted = ("coil", int(digits) - 1) if digits[0] == "0" and int(digits) else counted_in_manuals(int(digits))
    return f"what manuals call {digits} is {written(*counted)}" if counted and counted[1] < ADDRESSES else ""


def _reference(match: re.Match[str], written: _Written) -> str:
    digit, number = int(match[1]), int(match[2])
    if not 1 <= number <= ADDRESSES:
        return ""
    return f"what manuals call {match[0]} is {written(DIGITS[digit], number - 1)}"


def _zero_x(match: re.Match[str], written: _Written) -> str:
    number = int(match[1], 16)
    if number >= ADDRESSES:
        return ""
    words = f"as a hexadecimal number it is {number}: {written('holding', number)}, or another table"
    if match[1].isdecimal() and 1 <= int(match[1]) <= ADDRESSES:
        words += f"; in manuals that count 0x, 1x, 3x and 4x it is {written('coil', int(match[1]) - 1)}"
    return words


def _short(match: re.Match[str], written: _Written) -> str:
    table, number = _SHORT.get(match[1].upper()), int(match[2])
    if table is None or number >= ADDRESSES:
        return ""
    if found := counted_in_manuals(number):
        return f"what manuals call {number} is {written(*found)}"
    from_one = f"; where the manual counts from 1, {written(table, number - 1)}" if number else ""
    return f"write {written(table, number)}{from_one}"


def _worded(match: re.Match[str], written: _Written) -> str:
    table, number = match[1].lower(), int(match[2])
    if re.search(r"\s-", match[0]):  # a negative number
        return ""
    if found := counted_in_manuals(number):
        return f"what manuals call {number} is {written(*found)}"
    return f"write {written(table, number)}" if number < ADDRESSES else ""


def _hexadecimal(match: re.Match[str], written: _Written) -> str:
    number = int(match[2] or match[3], 16)
    return f"write {written(match[1].lower(), number)}" if number < ADDRESSES else ""


def _code(match: re.Match[str], written: _Written) -> str:
    return f"write {written(_CODES[int(match[1])], int(match[2]))}" if int(match[2]) < ADDRESSES else ""


def _schneider(match: re.Match[str], written: _Written) -> str:
    table, number = _SCHNEIDER.get(match[1].upper()), int(match[2])
    elsewhere = "a controller's own name; its manual says which Modbus register that is"
    if table is None or number >= ADDRESSES:
        return elsewhere
    return f"on Schneider's controllers {match[0]} is {written(table, number)}; elsewhere it is {elsewhere}"


def _number(match: re.Match[str], written: _Written) -> str:
    return f"say which table: {written('holding', int(match[0]))}, or input, coil, discrete"


_FORMS: Final[tuple[tuple[str, Callable[[re.Match[str], _Written], str]], ...]] = (
    (r"([0-9]{5,6})", _manual),
    (r"0x([0-9a-f]+)", _zero_x),
    (r"([134])x([0-9]+)", _reference),
    (r"%([a-z]{1,2})([0-9]+)", _schneider),
    (_TABLE + r"[\s:]*(?:([0-9a-f]+)h|16#([0-9a-f]+))", _hexadecimal),
    (_TABLE + r"[\s_-]*(?:register|reg|input|output|coil|status|bit)?s?[\s:_#/(\[-]*([0-9]+)[)\]]?", _worded),
    (r"FC\s*0?([1-4])[\s:,/-]+([0-9]+)", _code),
    (r"([a-z]+)[\s:_-]*([0-9]+)", _short),
    (r"[0-9]{1,4}", _number),
)
