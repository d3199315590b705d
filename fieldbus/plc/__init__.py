"""Links that are called by their device: PLC clients write and read their tags."""

from fieldbus.plc.link import PlcLink

__all__ = ["PlcLink"]
