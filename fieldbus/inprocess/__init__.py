"""Links to devices that are Python functions: tests, examples, simulations."""

from fieldbus.inprocess.link import InProcessLink

__all__ = ["InProcessLink"]
