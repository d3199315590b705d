"""Every feature of pyads against a server: python -m tests.peers.pyads_client HOST NETID AMSPORT

In a process of its own, since AdsLib ends its process when it is not pleased.
"""

import os
import queue
import struct
import sys
from typing import Any

import pyads

from tests.peers.features import Features
from tests.peers.plant import INPUTS

TASK = (
    ("CycleTime", pyads.PLCTYPE_UDINT, 1),
    ("CycleCount", pyads.PLCTYPE_ULINT, 1),
    ("P50", pyads.PLCTYPE_LREAL, 1),
    ("P99", pyads.PLCTYPE_LREAL, 1),
    ("Count", pyads.PLCTYPE_ULINT, 1),
)
PREDICT = 0x5254_0001
feature = Features()


def values(plc: pyads.Connection) -> None:
    """By name and by handle."""

    @feature("by name")
    def _() -> Any:
        plc.write_by_name("Tags.SetPoint", 2.5, pyads.PLCTYPE_REAL)
        return plc.read_by_name("Tags.SetPoint", pyads.PLCTYPE_REAL)

    @feature("by name, type asked for")
    def _() -> Any:
        plc.write_by_name("Tags.Count", -70_000)
        return plc.read_by_name("Tags.Count")

    @feature("STRING by name")
    def _() -> Any:
        plc.write_by_name("Tags.Name", "Förderband")
        return plc.read_by_name("Tags.Name")

    @feature("ARRAY by name")
    def _() -> Any:
        plc.write_by_name("Tags.Curve", [float(i) for i in range(8)], pyads.PLCTYPE_REAL * 8)
        return plc.read_by_name("Tags.Curve", pyads.PLCTYPE_REAL * 8)

    @feature("element by name")
    def _() -> Any:
        return plc.read_by_name("Tags.Curve[3]", pyads.PLCTYPE_REAL)

    @feature("by handle")
    def _() -> Any:
        handle = plc.get_handle("Tags.SetPoint")
        plc.write_by_name("", 3.5, pyads.PLCTYPE_REAL, handle=handle)
        value = plc.read_by_name("", pyads.PLCTYPE_REAL, handle=handle)
        plc.release_handle(handle)
        return value

    @feature("released handle")
    def _() -> Any:
        handle = plc.get_handle("Tags.SetPoint")
        plc.release_handle(handle)
        return refusal(lambda: plc.read_by_name("", pyads.PLCTYPE_REAL, handle=handle))

    @feature("structure")
    def _() -> Any:
        return list(plc.read_structure_by_name("Tasks.axis", TASK).values())

    @feature("symbol object")
    def _() -> Any:
        symbol = plc.get_symbol("Tags.Word")
        symbol.write(99)
        return [symbol.read(), symbol.symbol_type]


def lists(plc: pyads.Connection) -> None:
    """Sum commands, symbols."""

    @feature("write_list, read_list")
    def _() -> Any:
        plc.write_list_by_name({"Tags.SetPoint": 4.25, "Tags.Count": 11, "Tags.Enabled": True})
        return plc.read_list_by_name(["Tags.SetPoint", "Tags.Count", "Tags.Enabled", "Tags.Word", "Tags.Curve"])

    @feature("read_list, structure")
    def _() -> Any:
        found = plc.read_list_by_name(["Tasks.axis"], structure_defs={"Tasks.axis": TASK})
        return list(found["Tasks.axis"].values())

    @feature("get_all_symbols")
    def _() -> Any:
        return [[s.name, s.symbol_type, s.comment] for s in plc.get_all_symbols()]

    @feature("symbols are readable where they say")
    def _() -> Any:
        word = next(s for s in plc.get_all_symbols() if s.name == "Tags.Word")
        return plc.read(word.index_group, word.index_offset, pyads.PLCTYPE_UINT)


def device(plc: pyads.Connection) -> None:
    """Info, state, refusals, predict."""

    @feature("read_device_info")
    def _() -> Any:
        name, version = plc.read_device_info()
        return [bool(name), version.version + version.revision + version.build >= 0]

    @feature("read_state")
    def _() -> Any:
        return plc.read_state()[0]

    @feature("write refused")
    def _() -> Any:
        return refusal(lambda: plc.write_by_name("Tasks.axis.CycleTime", 1, pyads.PLCTYPE_UDINT))

    @feature("unknown name")
    def _() -> Any:
        return refusal(lambda: plc.read_by_name("Tags.Nothing", pyads.PLCTYPE_REAL))

    @feature("unknown group")
    def _() -> Any:
        return refusal(lambda: plc.read(0x1234_5678, 0, pyads.PLCTYPE_REAL))

    @feature("predict")
    def _() -> Any:
        ubytes = pyads.PLCTYPE_UBYTE if hasattr(pyads, "PLCTYPE_UBYTE") else pyads.PLCTYPE_BYTE
        reply = plc.read_write(PREDICT, 1, ubytes * 24, list(INPUTS.tobytes()), ubytes * INPUTS.nbytes)
        return struct.unpack("<II4f", bytes(reply))


def notifications(plc: pyads.Connection) -> None:
    """On change and cyclic."""
    seen: queue.Queue[Any] = queue.Queue()

    @plc.notification(pyads.PLCTYPE_DINT)
    def changed(handle: int, name: str, timestamp: Any, value: int) -> None:
        seen.put((name, value, timestamp.year))

    @feature("notification on change")
    def _() -> Any:
        plc.write_by_name("Tags.Count", 300, pyads.PLCTYPE_DINT)
        handles = plc.add_device_notification("Tags.Count", pyads.NotificationAttrib(4), changed)
        for value in (301, 302):
            plc.write_by_name("Tags.Count", value, pyads.PLCTYPE_DINT)
            while (last := seen.get(timeout=5))[1] != value:
                pass
        plc.del_device_notification(*handles)
        return [last[0], last[1], last[2] >= 2024]

    @feature("notification cyclic")
    def _() -> Any:
        attributes = pyads.NotificationAttrib(4, pyads.ADSTRANS_SERVERCYCLE, cycle_time=0.01)
        handles = plc.add_device_notification("Tags.Count", attributes, changed)
        values = {seen.get(timeout=5)[1] for _ in range(5)}
        plc.del_device_notification(*handles)
        return list(values)


def refusal(call: Any) -> int | str:
    """The error code of what must not work."""
    try:
        return f"gave {call()}"
    except pyads.ADSError as error:
        return int(error.err_code)


def main() -> None:
    """Connect, try everything, print."""
    host, net_id, ams_port = sys.argv[1:]
    plc = pyads.Connection(net_id, int(ams_port), host)
    plc.open()
    plc.set_timeout(5000)
    values(plc)
    lists(plc)
    device(plc)
    notifications(plc)
    feature("close")(lambda: plc.close() is None)
    feature.show()
    os._exit(0)  # AdsLib's threads may outlive the interpreter and end the process with an error


if __name__ == "__main__":
    main()
