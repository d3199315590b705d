"""The Modbus server: a station's database as coils and registers, predict calls by function code 23.

map.py       Database, Models          -> one register map, the same whenever the station is the same
convert.py   bytes of a PLC            <-> registers, in one of four byte orders
plan.py      an address and a quantity -> where the values are; made once, kept
pdu.py       requests                  -> addresses and quantities, or the right exception
blocks.py    one connection's inputs   -> the model's outputs
session.py   request PDU in, answer PDU out
stream.py    frames in, frames out: one connection over TCP or TLS, without sockets
repeated.py                            calls that are replayed
mbap.py, rtu.py                        frames of Modbus TCP and of a serial line
server.py, serial_line.py              what its connections have of their own; a serial port
"""
