"""What the checks of a station file look at."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from station.file.config import StationConfig
from station.terms.findings import Step
from station.terms.tables import TagTable


@dataclass(frozen=True, slots=True)
class View:
    """What the checks look at: the entries without wrong values, and the names of those set aside."""

    config: StationConfig
    broken: frozenset[tuple[str, str]]
    folder: Path
    guessed: frozenset[tuple[Step, ...]] = frozenset()
    """Places whose value was wrong or missing, so that another stands there."""
    own_tags: frozenset[str] = frozenset()
    """The names of the tags that links bring by themselves."""

    def knows(self, section: str, name: str, *keys: str) -> bool:
        """Does the file say what these keys of an entry are? What follows from a guess is no finding."""
        return not any((section, name, *key.split(".")) in self.guessed for key in keys)

    def names(self, section: str) -> set[str]:
        """All declared names of a section, those of broken entries too."""
        return {*getattr(self.config, section), *(name for where, name in self.broken if where == section)}

    def declares(self, section: str, name: str) -> bool:
        """Is this one of `names`?"""
        return name in getattr(self.config, section) or (section, name) in self.broken

    def link_of(self, tag: TagTable) -> str | None:
        """Name of the tag's link; the only link when the tag names none."""
        return tag.link or sole_link(self.names("links"))


def link_of(config: StationConfig, tag: TagTable) -> str | None:
    """The link of a tag; the only link when the tag names none."""
    return tag.link or sole_link(config.links)


def tags_of(config: StationConfig, link: str) -> dict[str, TagTable]:
    """The tags of a link."""
    return {name: tag for name, tag in config.tags.items() if link_of(config, tag) == link}


def sole_link(links: Collection[str]) -> str | None:
    """The link that a tag without `link` belongs to."""
    return next(iter(links)) if len(links) == 1 else None
