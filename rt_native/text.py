"""Text of others as it may be shown: names in models and station files, file names, what devices and peers say."""

import html
import json
from typing import Any, Final

_ESCAPED_BYTES: Final = range(0xDC80, 0xDD00)
"""How Python holds the bytes of a file name that are no UTF-8."""
_FORMULAS: Final = "=+-@＝＋－＠"


def visible(text: str, keep: str = "") -> str:
    r"""`text` with an escape for each character that cannot be seen, but for those in `keep`.

    | what                                                   | becomes          |
    |--------------------------------------------------------|------------------|
    | controls, which steer a terminal; line ends; DEL; C1   | `\x1b`           |
    | what turns the direction of writing, or has no width   | `\u202e`         |
    | a byte of a file name that is not UTF-8                | `\xff`           |
    | any other half of a surrogate pair, which has no UTF-8 | `\ud800`         |
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else _escape(ord(c)) for c in text)


def _escape(code: int) -> str:
    if code in _ESCAPED_BYTES:
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def in_html(text: str) -> str:
    """`text` for a page: visible, and no markup."""
    return html.escape(visible(text))


def in_cell(text: str) -> str:
    """`text` for a CSV file: visible, and with a `'` before what a spreadsheet would run as a formula; a number is none."""
    shown = visible(text)
    return f"'{shown}" if text.strip()[:1] in _FORMULAS and not _is_number(text) else shown


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return not text.strip()
    return True


def json_safe(text: str) -> str:
    """JSON of `json.dumps`, which leaves one control character as it is."""
    return text.replace("\x7f", "\\u007f")


def print_json(value: Any) -> None:
    """Print JSON for programs; what it cannot hold as text."""
    print(json_safe(json.dumps(value, indent=1, default=str)))
