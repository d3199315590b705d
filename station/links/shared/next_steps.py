"""What to look at when a device does not answer as it should: words of the reason -> the next step, for each kind of link."""

from __future__ import annotations

from typing import Final

Steps = tuple[tuple[str, str], ...]

SERIAL: Final[Steps] = (
    (
        r"No such file",
        "is the adapter plugged in? `ls -l /dev/serial/by-id` lists those that are; these names stay the same",
    ),
    (
        r"Permission denied",
        "this user may not open it: add it to the port's group (`ls -l` shows which, often dialout)",
    ),
    (r"busy|temporarily unavailable|lock", "another program has it open: `fuser` names it"),
    (
        r"no answer",
        "are baudrate, parity, stopbits and unit those of the device? Are its wires A and B the other way round?",
    ),
    (r"", "are baudrate, parity and stopbits those of the device? Is it the only device of its number on the line?"),
)
MODBUS: Final[Steps] = (
    (
        r"illegal data address",
        "the device has no such registers: is the table right (holding or input), does the manual count from 1?",
    ),
    (r"illegal function", "the device has no such table: is it the other one (holding or input, coil or discrete)?"),
    (r"server device failure", "the device could not do it: is `unit` right? Its own display or log may say more"),
    (r"gateway", "the gateway is there, the device behind it is not: is `unit` right, is that device on?"),
    (
        r"refused",
        "the computer is there, and nothing listens at this port: is Modbus TCP switched on in the device, is `port` right?",
    ),
    (
        r"no answer|half an answer",
        "it takes connections and does not answer: is `unit` right? Many devices answer to 1, 0 or 255 alone",
    ),
    (
        r"closed the connection|reset",
        "it takes connections and closes them: has another program the only one, does its list of clients leave us out?",
    ),
    (r"not a Modbus frame|AMS", "what answers there speaks another protocol: is `port` right?"),
)
ADS: Final[Steps] = (
    (
        r"refused",
        "the computer is there, and no AMS router listens: is TwinCAT installed and started, is `host` right?",
    ),
    (
        r"symbol .*0x7|0x710",
        "no such symbol: is the name whole (MAIN.fSpeed), is `port` that of this PLC (851, 852, ...)?",
    ),
    (
        r"closed the connection|no answer",
        "has the controller a route to this computer, with this computer's AMS NetId and address?",
    ),
    (r"not in RUN", "start the PLC's program, or say watch_state = false"),
)
ETHERCAT: Final[Steps] = (
    (
        r"no slave answers",
        "is the cable in the first slave's IN port, has that one power? `rt-engine ethercat scan INTERFACE` shows who answers",
    ),
    (
        r"expected|is called|exchanges no",
        "`rt-engine ethercat scan INTERFACE` shows what is there, as tables for this file",
    ),
    (
        r"AL status code|refuses",
        "`rt-engine ethercat state INTERFACE` shows every slave's state and the errors of its ports",
    ),
    (r"mailbox", "has the slave CoE, and is its firmware running? `rt-engine ethercat state INTERFACE`"),
)
OPCUA: Final[Steps] = (
    (
        r"is not trusted",
        "compare the thumbprint with the one that the server itself shows; then trust it, as the message says",
    ),
    (
        r"BadSecurityChecksFailed|BadCertificate\w*|closed the connection|reset",
        "the server does not trust us yet: look there for rejected certificates, and let it trust own.der",
    ),
    (r"BadIdentityToken|BadUserAccessDenied", "are `user` and the password right, does the server let them in?"),
    (r"does not offer", "set `security` and `mode` to what it offers, or switch on the wanted policy in the server"),
    (r"no such node|no namespace|such way", "`rt-engine opcua browse URL` lists the nodes that the server has"),
    (r"refused", "the computer is there, and nothing listens at this port: is the server running, is the port right?"),
    (r"says only every", "the server revises our wish: a longer `timeout` is what it can keep"),
)
MODBUS_SERIAL: Final[Steps] = (*MODBUS[:4], *SERIAL)
