"""Links to Modbus devices: TCP, TLS, RTU."""

from fieldbus.modbus.link import ModbusLink, Rtu, Tcp, Tls

__all__ = ["ModbusLink", "Rtu", "Tcp", "Tls"]
