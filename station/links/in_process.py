"""Links of type "in-process": devices that are Python functions."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from rt_native.files import is_scarce
from rt_native.trust import why_not_run
from station.links import CyclicLinkTable
from station.terms.findings import Finding, no_function
from station.terms.tables import TagTable

if TYPE_CHECKING:
    from fieldbus.inprocess.link import InProcessLink as InProcessDevice
    from fieldbus.tags import Tag

ORDER = 30


class InProcessLink(CyclicLinkTable):
    """A device that is a Python function, for simulations and dry runs."""

    type: Literal["in-process"]
    device: str | None = Field(
        default=None,
        description='"file.py:function", called every cycle with {output tag: value}, gives {input tag: value}; '
        "left out: every input stays 0.",
    )

    def describe(self) -> str:
        """`in-process device.py:device`."""
        return f"in-process {self.device or 'zeros'}"

    def findings(self, name: str, tags: Mapping[str, TagTable], folder: Path) -> Iterator[Finding]:
        """Is there such a file?"""
        if self.device is not None:
            yield from no_function(("links", name, "device"), folder, self.device)

    def make(self, name: str, tags: Sequence[Tag], folder: Path) -> InProcessDevice:
        """A link that calls the function."""
        from fieldbus.inprocess.link import InProcessLink as InProcessDevice

        device = _zeros(tags) if self.device is None else _function(folder, self.device)
        return InProcessDevice(name, tags, device, self.cycle_s, self.timeout_s)


def _zeros(tags: Sequence[Tag]) -> Callable[[Any], Any]:
    """A device whose inputs all stay 0."""
    zeros = {tag.name: 0.0 if tag.count == 1 else [0.0] * tag.count for tag in tags if tag.direction == "in"}
    return lambda _: zeros


def _function(folder: Path, where: str) -> Callable[[Any], Any]:
    """The function of a Python file; raises `OSError` when the file does not have it, or cannot be imported."""
    file, _, name = where.rpartition(":")
    source = folder / file
    spec = importlib.util.spec_from_file_location(source.stem, source)
    if spec is None or spec.loader is None:
        raise OSError(f"{source} is no Python file: its name must end in .py")
    if why := why_not_run(source):
        raise OSError(why)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever the user's file does
        if isinstance(error, OSError) and is_scarce(error):
            raise
        raise OSError(f"{source} cannot be imported: {error!r}") from error
    found = getattr(module, name, None)
    if not callable(found):
        raise OSError(f'{source} has no function "{name}"')
    function: Callable[[Any], Any] = found
    return function


TABLES = (InProcessLink,)
