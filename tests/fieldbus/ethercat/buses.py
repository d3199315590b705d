"""A simulated bus for a test, on a pair of virtual interfaces in a network of the test's own."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from fieldbus.ethercat.simulated.bus import Bus
from fieldbus.ethercat.simulated.device import Device
from fieldbus.ethercat.simulated.wires import own_network, pair
from fieldbus.ethercat.wire.soem import Soem
from tests import need

MASTER, SLAVES = "master0", "slaves0"
SECOND_MASTER, SECOND_SLAVES = "master1", "slaves1"


def forget_left_scans() -> None:
    """Those of other tests, on interfaces of the same name, go on for a minute; more than a few keep a link from scanning."""
    Soem._left.clear()


@contextmanager
def network(is_ring: bool = False) -> Iterator[None]:
    """Cables from MASTER to SLAVES (and their seconds) for this thread and what it starts; skipped without the right to make them."""
    need.program("ip")
    with ExitStack() as held:
        try:
            held.enter_context(own_network())
        except PermissionError:
            need.lacking("the right to make network interfaces", "run it as root, or under `unshare -rn`")
        held.enter_context(pair(MASTER, SLAVES))
        forget_left_scans()
        if is_ring:
            held.enter_context(pair(SECOND_MASTER, SECOND_SLAVES))
        yield


@contextmanager
def simulated(devices: Sequence[Device], is_ring: bool = False) -> Iterator[Bus]:
    """A bus on the wire; its master opens MASTER, from this thread or one that it starts.

    A master that holds the interpreter while it waits (pysoem's `config_map`, `state_check`; KickCAT) keeps these devices from
    answering: it needs a `BusProcess`.
    """
    with network(is_ring), Bus(devices, SLAVES, SECOND_SLAVES if is_ring else None) as bus:
        yield bus
