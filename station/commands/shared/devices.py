"""What `check --connect` says of each device: a table of what it gave, what is odd about that, what to look at next."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from station.commands.shared.explaining import say
from station.errors import ExitCode

if TYPE_CHECKING:
    from rt_native.terminal import Terminal
    from station.file.reading import StationFile
    from station.running.connecting import Heard

SAME: Final = 2
"""So many tags that would be plausible in the same way make it likely that all are read wrongly."""


def ask_devices(console: Terminal | None, errors: Terminal, file: StationFile) -> tuple[list[dict[str, Any]], ExitCode]:
    """Ask every device of a station; print what it said, or on no console give it for JSON; and how it went."""
    from station.running.connecting import connect

    with _silent_links():
        heard = connect(file)
    for one in heard if console is not None else ():
        _print(console, errors, one)  # type: ignore[arg-type]
    if console is not None and not heard:
        say(console, "no link of this station calls a device: there is nothing to connect to")
    if any(one.is_held for one in heard):
        return [_plain(one) for one in heard], ExitCode.NOT_RUNNING
    return [_plain(one) for one in heard], ExitCode.OK if all(one.is_complete for one in heard) else ExitCode.FAILED


_MOVED: Final = {
    -1: "earlier: registers count from 0 here; does the manual count from 1?",
    1: "later: registers count from 0 here, as in some manuals; was 1 taken off numbers of such a manual?",
}


@contextmanager
def _silent_links() -> Iterator[None]:
    """What a link logs while it is tried is said once, below."""
    log = logging.getLogger("fieldbus")
    before = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(before)


def _print(console: Terminal, errors: Terminal, heard: Heard) -> None:
    from station.show.tags import sheet
    from station.terms.durations import format_duration

    if heard.problem:
        say(errors, f"link {heard.link} ({heard.device}): {heard.problem}", "red")
        if heard.help:
            say(errors, f"  {heard.help}", "yellow")
        return
    took = f", longest exchange {format_duration(heard.took_ns, 2)}" if heard.took_ns else ""
    gives = "" if heard.tags else ", and gives none of its tags"
    said = f"link {heard.link} ({heard.device}): answers{took}{gives}; nothing was written"
    say(console, said, "yellow" if gives else "green")
    if heard.tags:
        console.print(sheet(heard.tags))
    for name, why in heard.refused.items():
        say(errors, f"  {name}: not read: {why}", "red")
    for step in dict.fromkeys(heard.helps):
        say(errors, f"  {step}", "yellow")
    for name, why in heard.unshown.items():
        say(console, f"  {name}: an output that the device does not show: {why}", "dim")
    for text in remarks(heard):
        say(errors, f"  warning: {text}", "yellow")


def remarks(heard: Heard) -> Iterator[str]:
    """What is odd about values, tag by tag, then what several of them have in common; what a person should know besides."""
    for name, doubt in heard.doubts.items():
        yield f"{name}: {doubt.text}"
    orders = Counter(order for doubt in heard.doubts.values() for order in doubt.orders)
    for order, count in orders.most_common(1):
        if count >= SAME:
            yield f'{count} of these would be plausible in order {order}: order = "{order}" in [links.{heard.link}]?'
    shifts = Counter(shift for doubt in heard.doubts.values() for shift in doubt.shifts)
    for shift, count in shifts.most_common(1):
        if count >= SAME:
            yield f"{count} of these would be plausible one register {_MOVED[shift]}"
    yield from heard.notes


def _plain(heard: Heard) -> dict[str, Any]:
    """For programs."""
    from station.show.tags import to_json

    return {
        "link": heard.link,
        "device": heard.device,
        "answers": not heard.problem,
        "problem": heard.problem,
        "help": heard.help,
        "tags": to_json(tuple(heard.tags)),
        "not_read": heard.refused,
        "outputs_not_shown": heard.unshown,
        "doubts": {name: asdict(doubt) for name, doubt in heard.doubts.items()},
        "warnings": list(remarks(heard)),
    }
