"""Links to Modbus devices: TCP, TLS, RTU; and the protocol's numbers."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fieldbus.modbus.link import ModbusLink, Rtu, Tcp, Tls

__all__ = ["ModbusLink", "Rtu", "Tcp", "Tls"]


def __getattr__(name: str) -> Any:
    """A link is imported when it is asked for: a server needs the protocol's numbers, and no client's library."""
    if name in __all__:
        from fieldbus.modbus import link

        return getattr(link, name)
    raise AttributeError(f"module 'fieldbus.modbus' has no attribute {name!r}")
