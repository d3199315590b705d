"""What a link shows of its tags to people: values, the bytes that they travelled as, quality, age. Nothing here is in a cycle."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from fieldbus.codec import Codec
from fieldbus.tags import Quality, Tag


@dataclass(frozen=True, slots=True)
class TagValue:
    """A tag at one moment.

    `values`: one number for each element, in engineering units; `raw`: the bytes as they travelled, of all elements, empty
    where they are not known; `age_ns`: since the values were asked for (an input) or sent (an output), None: never; `source_time`:
    when the device's own source had the value, by its clock, where it says so.
    """

    tag: Tag
    values: tuple[float, ...]
    raw: bytes
    quality: Quality
    age_ns: int | None
    source_time: datetime | None = None

    @property
    def direction(self) -> Literal["in", "out"]:
        """As the tag's."""
        return self.tag.direction


class Travelled:
    """The bytes of tags in the newest payloads that some codecs decoded or encoded."""

    def __init__(self, codecs: Sequence[Codec]) -> None:
        self._of: dict[str, list[Codec]] = {}
        for codec in codecs:
            for name in codec.places:
                self._of.setdefault(name, []).append(codec)

    def raw(self, tag: str) -> bytes:
        """Of all parts of a tag, one after the other; empty if one of them has not travelled yet."""
        parts = [codec.newest(tag) for codec in self._of.get(tag, ())]
        return b"".join(parts) if all(parts) else b""


def selected(tags: Iterable[Tag], names: Iterable[str] | None) -> list[Tag]:
    """Those of `names`, in the order of `tags`; None: all."""
    wanted = None if names is None else set(names)
    return [tag for tag in tags if wanted is None or tag.name in wanted]
