"""What tests of stations share."""

import random
import socket

import pytest


@pytest.fixture
def host():
    """A loopback address whose port 48898 is free: AdsLib knows no other port."""
    while True:
        address = f"127.{random.randint(1, 254)}.{random.randint(0, 254)}.{random.randint(2, 254)}"
        try:
            socket.create_server((address, 48898)).close()
        except OSError:
            continue
        return address
