"""Tags that links bring by themselves: those of a drive, for one. Before the values of a file are checked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from station.links import link_tables, type_of


def with_own_tags(data: dict[str, Any]) -> dict[str, Any]:
    """The tables of a file with the tags that its links bring; one that the file has itself stays as it is there.

    Args:
        data: as TOML gives them; anything may be wrong with them, which is said later.
    """
    tags, own = data.get("tags", {}), dict(_own_tags(data.get("links")))
    return {**data, "tags": {**own, **tags}} if own and isinstance(tags, dict) else data


def own_tag_names(data: dict[str, Any]) -> frozenset[str]:
    """The names of the tags that links bring."""
    return frozenset(name for name, _ in _own_tags(data.get("links")))


def _own_tags(links: object) -> Iterator[tuple[str, dict[str, Any]]]:
    kinds = {type_of(table): table for table in link_tables()}
    for name, link in links.items() if isinstance(links, dict) else ():
        kind = kinds.get(str(link.get("type"))) if isinstance(link, dict) else None
        if kind is not None:
            yield from kind.own_tags(name, link).items()
