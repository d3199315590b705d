"""A serial port, for native code to exchange on."""

import termios
import time
from contextlib import suppress

import serial

from fieldbus.errors import ConnectionLostError, cause

BITS_OF_A_BYTE = 11
LEAVE_S = 0.02
"""What is still in the port when it is closed has so much more time than it takes to send it."""


class SerialPort:
    """Nobody else may have it open meanwhile."""

    def __init__(self, device: str, baudrate: int, parity: str, stopbits: int) -> None:
        self.device, self.baudrate, self.parity, self.stopbits = device, baudrate, parity, stopbits
        self._port: serial.Serial | None = None

    def dial(self, deadline_ns: int) -> None:
        """Open it; raises `ConnectionLostError`."""
        self.close()
        try:
            self._port = port = serial.Serial(
                self.device, self.baudrate, parity=self.parity, stopbits=self.stopbits, exclusive=True
            )
            _wait_for_bytes(port.fileno())
        except (OSError, ValueError, termios.error) as error:
            raise ConnectionLostError(f"cannot open the serial port {self.device}: {cause(error)}") from error
        with suppress(OSError, ValueError):  # only drivers that hold bytes back know that they can be told not to
            port.set_low_latency_mode(True)

    def fileno(self) -> int:
        """Its descriptor, which does not block."""
        assert self._port
        return int(self._port.fileno())

    def close(self) -> None:
        """Close it, if it is open; what has not left by the time that it takes to send it never will: it would be old."""
        port, self._port = self._port, None
        if port is None:
            return
        with suppress(OSError, termios.error):  # it is gone already
            end_s = time.monotonic() + LEAVE_S + BITS_OF_A_BYTE * port.out_waiting / self.baudrate
            while port.out_waiting and time.monotonic() < end_s:
                time.sleep(LEAVE_S / 10)
            termios.tcflush(port.fileno(), termios.TCIOFLUSH)
        port.close()


def _wait_for_bytes(fd: int) -> None:
    """Let a read tell "nothing has come" (EAGAIN) from "the port is gone" (0 bytes)."""
    settings = termios.tcgetattr(fd)
    settings[6][termios.VMIN] = 1
    termios.tcsetattr(fd, termios.TCSANOW, settings)
