"""Links to Modbus devices: TCP, TLS, RTU; and the protocol's numbers."""
