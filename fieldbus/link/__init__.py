"""A link: one device, its tags, and the channels between it and tasks; what all kinds of links share."""

from fieldbus.link.link import Link

__all__ = ["Link"]
