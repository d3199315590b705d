"""What to look at when a device does not answer as it should."""

import pytest

from station.links import link_tables, type_of
from station.show.next_steps import next_step


@pytest.mark.parametrize(
    ("device", "reason", "step"),
    [
        ("modbus-tcp h:502", "cannot connect to h:502: Connection refused", "nothing listens at this port"),
        ("modbus-tcp h:502", "cannot connect to h:502: timed out", "is it switched on"),
        ("modbus-tcp h:502", "cannot connect to h:502: No route to host", "is it switched on"),
        ("modbus-tcp h:502", "cannot connect to h:502: Name or service not known", "nobody knows this name"),
        ("modbus-tcp h:502", "no answer in time", "is `unit` right"),
        ("modbus-tcp h:502", "the device closed the connection", "list of clients"),
        (
            "modbus-tcp h:502",
            "unit 1 FC 3, holding 5: exception 2, illegal data address",
            "does the manual count from 1?",
        ),
        (
            "modbus-tcp h:502",
            "unit 1 FC 3: exception 11, gateway target device failed to respond",
            "the device behind it",
        ),
        ("modbus-tls h:802", "cannot connect to h:802: certificate verify failed", "ca_file"),
        (
            "modbus-rtu /dev/ttyUSB0 unit 1",
            "cannot open the serial port /dev/ttyUSB0: No such file or directory",
            "plugged in",
        ),
        ("modbus-rtu /dev/ttyUSB0 unit 1", "cannot open the serial port /dev/ttyUSB0: Permission denied", "dialout"),
        ("modbus-rtu /dev/ttyUSB0 unit 1", "no answer, or only a part of one, in time", "wires A and B"),
        ("ads 5.1.2.3.1.1:851", "cannot connect to 10.0.0.2:48898: Connection refused", "AMS router"),
        ("ads 5.1.2.3.1.1:851", "symbol 'MAIN.x': ADS error 0x710, symbol not found", "is the name whole"),
        ("ads 5.1.2.3.1.1:851", "symbol version: no answer in time", "a route to this computer"),
        ("modbus-tcp h:502", "something new", ""),
    ],
)
def test_each_reason_has_its_step(device, reason, step):
    """By the kind of device, and by what was said; nothing where the reason is not known."""
    (table,) = (table for table in link_tables() if type_of(table) == device.partition(" ")[0])
    found = next_step(reason, table.model_construct())
    assert step in found
    assert bool(step) == bool(found)
