"""Links of type ads in a station file: every key reaches the link; what two links to one controller mean is said."""

from pathlib import Path

from station.file.reading import read_station
from station.wiring.parts import build
from tests.station.stations import gemm

STATION = """
[station]
name = "cell"
[models.policy]
file = "policy.onnx"
[links.plc]
type = "ads"
ams_net_id = "127.0.0.7.1.1"
{keys}
{more}
[tags]
x = {{ address = "MAIN.x", link = "plc" }}
u = {{ address = "MAIN.u", link = "plc", direction = "out" }}
[tasks.axis]
model = "policy"
cycle = "10 ms"
inputs = ["x"]
outputs = ["u"]
"""
KEYS = """
tcp_port = 12345
local_net_id = "5.6.7.8.1.1"
local_host = "127.0.0.1"
watch_state = false
mode = "notify"
exchange = "in-cycle"
"""
SECOND = """
[links.other]
type = "ads"
ams_net_id = "127.0.0.7.1.1"
port = 852
"""


def station(folder: Path, keys: str = "", more: str = "") -> Path:
    gemm(folder / "policy.onnx", 1)
    path = folder / "station.toml"
    path.write_text(STATION.format(keys=keys, more=more))
    return path


def test_every_key_reaches_the_link(tmp_path: Path) -> None:
    """TCP port, our NetId and address, state, mode, and who exchanges."""
    link = build(read_station(station(tmp_path, KEYS))).links["plc"]
    assert (link.mode, link.how) == ("notify", "in-cycle")  # type: ignore[attr-defined]
    client, watch = link._client, link._watch  # type: ignore[attr-defined]
    assert (client.host, client.port) == ("127.0.0.7", 12345)
    assert (client._local_net_id, client._local_host) == ("5.6.7.8.1.1", "127.0.0.1")
    assert watch._is_state_watched is False


def test_two_links_from_one_address_close_each_other(tmp_path: Path) -> None:
    """TwinCAT takes one connection from each computer: a warning; none where the second comes from another address."""
    file = read_station(station(tmp_path, more=SECOND))
    assert any("TwinCAT takes one connection from each computer" in str(warning) for warning in file.warnings)
    file = read_station(station(tmp_path, more=SECOND + 'local_host = "127.0.0.2"\n'))
    assert not any("TwinCAT" in str(warning) for warning in file.warnings)
