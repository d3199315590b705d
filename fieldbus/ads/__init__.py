"""Links to TwinCAT controllers; and the protocol's numbers."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fieldbus.ads.link import AdsLink

__all__ = ["AdsLink"]


def __getattr__(name: str) -> Any:
    """A link is imported when it is asked for: a server needs the protocol's numbers, and no client's library."""
    if name in __all__:
        from fieldbus.ads import link

        return getattr(link, name)
    raise AttributeError(f"module 'fieldbus.ads' has no attribute {name!r}")
